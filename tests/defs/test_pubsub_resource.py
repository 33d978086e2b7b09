"""`KlioPubSubResource` as users pass it: alone, nested, with values from the environment."""

import dagster as dg
import pytest

from klio_dagster import ConfigError, KlioPubSubResource, KlioResource
from klio_dagster.pubsub.settings import Settings


def seen_in_a_run(**resources):
    """The settings that an asset of each resource sees."""
    seen = {}

    @dg.asset
    def publishing(klio: KlioResource):
        seen["nested"] = klio.pubsub.settings()

    @dg.asset
    def receiving(pubsub: KlioPubSubResource):
        seen["alone"] = pubsub.settings()

    assets = [publishing] if "klio" in resources else []
    assets += [receiving] if "pubsub" in resources else []
    defs = dg.Definitions(assets=assets, resources=resources)
    job = defs.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance).success
    return seen


def test_a_klio_resource_has_the_pubsub_of_the_environment(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:8085")

    seen = seen_in_a_run(klio=KlioResource())

    assert seen["nested"] == Settings("my-project", emulator_host="127.0.0.1:8085")


def test_one_resource_serves_at_top_level_and_nested(monkeypatch):
    monkeypatch.setenv("THE_PROJECT", "my-project")
    pubsub = KlioPubSubResource(
        project=dg.EnvVar("THE_PROJECT"), endpoint="europe-west1-pubsub.googleapis.com"
    )

    seen = seen_in_a_run(klio=KlioResource(pubsub=pubsub), pubsub=pubsub)

    expected = Settings("my-project", endpoint="europe-west1-pubsub.googleapis.com")
    assert seen == {"nested": expected, "alone": expected}


def test_the_launchpad_may_name_another_project():
    seen = {}

    @dg.asset
    def publishing(klio: KlioResource):
        seen["nested"] = klio.pubsub.settings()

    defs = dg.Definitions(
        assets=[publishing], resources={"klio": KlioResource.configure_at_launch()}
    )
    # Dagster 1.13.0 wants the engine named wherever the resource is configured at the launch.
    config = {"pubsub": {"project": "of-the-launch"}, "engine": {"local": {}}}
    with dg.DagsterInstance.ephemeral() as instance:
        defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            run_config={"resources": {"klio": {"config": config}}},
        )

    assert seen["nested"].project == "of-the-launch"


def test_used_as_a_plain_object_it_has_the_values_of_its_variables(monkeypatch):
    monkeypatch.setenv("THE_PROJECT", "my-project")
    monkeypatch.setenv("THE_EMULATOR", "127.0.0.1:8085")
    pubsub = KlioPubSubResource(
        project=dg.EnvVar("THE_PROJECT"), emulator_host=dg.EnvVar("THE_EMULATOR")
    )

    subscription = pubsub.subscription("incoming")

    assert subscription.path == "projects/my-project/subscriptions/incoming"
    assert pubsub.settings() == Settings("my-project", emulator_host="127.0.0.1:8085")


def test_a_variable_that_is_not_set_is_named():
    pubsub = KlioPubSubResource(project=dg.EnvVar("THE_PROJECT"))

    with pytest.raises(ConfigError) as error:
        pubsub.publisher()

    assert str(error.value) == (
        "project of the KlioPubSubResource: the variable THE_PROJECT is not set; "
        "set THE_PROJECT, or leave project out"
    )
