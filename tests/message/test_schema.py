from klio_dagster.message.klio_pb2 import DESCRIPTOR

# The schema, as klio.md lists it: message, field, number, type; a star where it is repeated.
FIELDS = """
Data.element 3 bytes
Data.entity_id 1 string
Data.payload 2 bytes
KlioJob.JobInput.data_location 3 string
KlioJob.JobInput.subscription 2 string
KlioJob.JobInput.topic 1 string
KlioJob.gcp_project 2 string
KlioJob.inputs 3 *KlioJob.JobInput
KlioJob.job_name 1 string
KlioJobAuditLogItem.klio_job 2 KlioJob
KlioJobAuditLogItem.timestamp 1 google.protobuf.Timestamp
KlioMessage.data 2 Data
KlioMessage.metadata 1 Metadata
KlioMessage.version 3 Version
Metadata.Recipients.Limited.recipients 1 *KlioJob
Metadata.Recipients.Limited.trigger_children_of 2 KlioJob
Metadata.Recipients.anyone 1 Metadata.Recipients.Anyone
Metadata.Recipients.limited 2 Metadata.Recipients.Limited
Metadata.downstream 1 *KlioJob
Metadata.force 4 bool
Metadata.intended_recipients 6 Metadata.Recipients
Metadata.job_audit_log 3 *KlioJobAuditLogItem
Metadata.ping 5 bool
Metadata.visited 2 *KlioJob
"""
SCALARS = {8: "bool", 9: "string", 12: "bytes"}


def test_the_schema_is_klios_field_by_field():
    found = sorted(_fields(DESCRIPTOR.message_types_by_name.values()))

    assert found == FIELDS.strip().splitlines()
    assert DESCRIPTOR.package == ""
    assert [each.name for each in DESCRIPTOR.enum_types_by_name["Version"].values] == [
        "UNKNOWN",
        "V1",
        "V2",
    ]


def _fields(types):
    for each in types:
        for field in each.fields:
            kind = field.message_type or field.enum_type
            name = kind.full_name if kind else SCALARS[field.type]
            star = "*" if field.is_repeated else ""
            yield f"{each.full_name}.{field.name} {field.number} {star}{name}"
        yield from _fields(each.nested_types)
