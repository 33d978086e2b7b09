"""What Dagster's web page asks, without a server.

The names are Dagster's own test names, so they are told in this one file.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.test.utils import execute_dagster_graphql

_PAGE = """query ($key: AssetKeyInput!, $partition: String!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode {
    staleStatus(partition: $partition)
    staleCauses(partition: $partition) { reason dependency { path } }
    partitionStats { numMaterialized numFailed numMaterializing numPartitions }
    assetPartitionStatuses { ... on DefaultPartitionStatuses {
      materializedPartitions failedPartitions unmaterializedPartitions } }
    latestMaterializationByPartition(partitions: [$partition]) {
      timestamp runId stepKey tags { key value }
      metadataEntries { label ... on FloatMetadataEntry { floatValue }
        ... on MarkdownMetadataEntry { mdStr } } }
    assetObservations(partitions: [$partition]) {
      description metadataEntries { label ... on MarkdownMetadataEntry { mdStr } } }
  } }
}"""

_CHECK = """query ($key: AssetKeyInput!, $check: String!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode {
    assetChecksOrError { ... on AssetChecks { checks { name
      partitionStatuses { ... on AssetCheckDefaultPartitionStatuses {
        succeededPartitions failedPartitions } } } } }
  } }
  assetCheckExecutions(assetKey: $key, checkName: $check, limit: 10) {
    partition status evaluation { success severity description
      metadataEntries { label ... on FloatMetadataEntry { floatValue } } } }
}"""

_RUN = """query ($id: ID!) { logsForRun(runId: $id) { ... on EventConnection {
  events { __typename ... on MessageEvent { message stepKey }
    ... on MaterializationEvent { partition } ... on ObservationEvent { partition } } } } }"""


_PREVIEW = """mutation ($selector: SensorSelector!) {
  sensorDryRun(selectorData: $selector, cursor: null) { __typename
    ... on DryRunInstigationTick { evaluationResult {
      runRequests { runKey } skipReason error { message } } }
    ... on PythonError { message } } }"""


def previewed(instance: dg.DagsterInstance, file: Path, sensor: str) -> list[str]:
    """The run keys that "preview tick" shows of a sensor, defined in a file."""
    with _workspace(instance, file) as workspace:
        location = workspace.code_locations[0]
        (repository,) = location.get_repositories()
        selector = {"repositoryLocationName": location.name, "repositoryName": repository}
        variables = {"selector": {**selector, "sensorName": sensor}}
        answer = execute_dagster_graphql(workspace, _PREVIEW, variables)
    assert not answer.errors, answer.errors
    result = answer.data["sensorDryRun"]["evaluationResult"]
    assert result["error"] is None, result["error"]["message"]
    return [request["runKey"] for request in result["runRequests"] or ()]


@contextmanager
def _workspace(instance: dg.DagsterInstance, file: Path) -> Iterator[Any]:
    origin = LoadableTargetOrigin(
        executable_path=sys.executable, python_file=str(file), working_directory="."
    )
    # The web server looks up dynamic partitions in a context of its own as well.
    store = dg.partition_loading_context(dynamic_partitions_store=instance)
    with in_process_test_workspace(instance, origin) as workspace, store:
        yield workspace


class Page:
    """What the pages of assets and runs show.

    Args:
        instance: Dagster's.
        folder: where a file of definitions may be written.
    """

    def __init__(self, instance: dg.DagsterInstance, folder: Path) -> None:
        self._instance = instance
        self._file = folder / "catalogue_definitions.py"

    def asset(self, key: str, partition: str, *, code_version: str = "c1") -> Mapping:
        """An asset's page, with a partition opened; in code of a version."""
        variables = {"key": {"path": key.split("/")}, "partition": partition}
        return self._ask(_PAGE, variables, code_version)["assetNodeOrError"]

    def why_stale(self, key: str, partition: str, *, code_version: str = "c1") -> list[str]:
        """The reasons Dagster gives; empty when the partition is up to date."""
        page = self.asset(key, partition, code_version=code_version)
        reasons = [cause["reason"] for cause in page["staleCauses"]]
        assert page["staleStatus"] == ("STALE" if reasons else "FRESH")
        return reasons

    def check(self, key: str, name: str) -> tuple[Mapping, list[Mapping]]:
        """A check's page: partitions by status, and its executions, newest first."""
        variables = {"key": {"path": key.split("/")}, "check": name}
        answer = self._ask(_CHECK, variables, "c1")
        checks = answer["assetNodeOrError"]["assetChecksOrError"]["checks"]
        (statuses,) = [check["partitionStatuses"] for check in checks if check["name"] == name]
        return statuses, answer["assetCheckExecutions"]

    def run(self, run_id: str) -> list[Mapping]:
        """The lines of a run's page."""
        return self._ask(_RUN, {"id": run_id}, "c1")["logsForRun"]["events"]

    def _ask(self, query: str, variables: Mapping, code_version: str) -> Mapping:
        self._file.write_text(
            "from tests.ledger.catalogue import definitions\n"
            f"defs = definitions(code_version={code_version!r})\n"
        )
        with _workspace(self._instance, self._file) as workspace:
            answer = execute_dagster_graphql(workspace, query, variables)
        assert not answer.errors, answer.errors
        return answer.data
