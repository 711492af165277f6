"""Kinds of things that packages add: stored, asked about, changed, deleted and checked as ours are."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.records.tokens import create_token
from odin_graph.errors import (
    ConflictError,
    DataError,
    FrozenError,
    MetadataError,
    QueryError,
    RemoteError,
    StoreError,
    UnknownNameError,
)
from odin_graph.graph.kinds import added_kinds, kinds_of
from odin_graph.objects.query.things import ThingQuery
from odin_graph.query.plan import wire
from odin_graph.query.plan.plan import Plan, Things
from odin_graph.registry import PluginError
from odin_graph.schema.added_kinds import ADDED, from_json, to_json
from odin_graph.schema.kinds import Kind, Link
from odin_graph.schema.metadata import FieldType
from odin_graph.server import Settings
from tests.server.serving import served

PATIENT = Kind(
    label="Patient",
    word="patient",
    own={"born": FieldType.INT, "codes": FieldType.STRINGS},
    links={"images": Link("SHOWN_IN", "Image", many=True)},
    metadata=True,
    deletable=True,
    leased=True,
)
VISIT = Kind(
    label="EyeVisit",
    word="visit",
    own={"day": FieldType.DATE, "pressure": FieldType.FLOAT},
    links={"patient": Link("VISIT_OF", "Patient", whole=True, holds="seen at the visit")},
    needed=("patient",),
    indexed=("day",),
    states=("open", "closed"),
    deletable=True,
)
DIAGNOSIS = Kind(
    label="Diagnosis",
    word="diagnosis",
    plural="diagnoses",
    own={"grade": FieldType.INT},
    links={
        "images": Link("JUDGED_BY", "Image", many=True, lineage=True, holds="judged by the diagnosis"),
        "visit": Link("MADE_AT", "EyeVisit", lineage=True),
    },
    deletable=True,
)
REPORT = Kind(label="Letter", word="letter", links={"about": Link("TELLS", "Diagnosis", many=True, lineage=True)})
PYTHON: Any = int
KINDS = {"patient": PATIENT, "eye-visit": VISIT, "diagnosis": DIAGNOSIS, "letter": REPORT}


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a package registers; gone from here, it is missing."""
    entries: dict[str, Any] = dict(KINDS)
    monkeypatch.setattr(ADDED, "_entries", entries)
    return entries


@pytest.fixture
def clinic(db: og.Workspace) -> og.Workspace:
    db.images.add(images=np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8), labels=list("abcabc"), progress=False)
    db.things("patient").add("ann", born=1960, codes=["H35", "E11"], images=db.images()[:3], site="Lima")
    db.things("patient").add({"id": ["bea", "cid"], "born": [1971, None], "site": [None, "Quito"]})
    db.things("eye-visit").add("v1", patient="ann", pressure=17)
    db.things("diagnosis").add("d1", grade=2, images=db.images()[1], visit="v1")
    db.things("letter").add("l1", about=["d1"])
    return db


def test_a_collection_has_the_words_of_all_collections(clinic: og.Workspace) -> None:
    patients = clinic.things("patient")
    assert patients.ids() == [patient.id for patient in patients] == ["ann", "bea", "cid"]
    assert len(patients) == 3
    assert "ann" in patients
    assert "dan" not in patients
    ann = patients["ann"]
    assert (ann.born, ann.codes, ann.site, ann.id) == (1960, ["H35", "E11"], "Lima", "ann")
    assert (type(ann).__name__, str(ann), repr(ann)) == ("Patient", "ann", "Patient('ann')")
    assert pickle.loads(pickle.dumps(ann)) == ann
    with pytest.raises(UnknownNameError, match=r"There is no patient 'anne'\. Did you mean 'ann'\?"):
        patients["anne"]
    with pytest.raises(AttributeError, match=r"There is no field of Patient 'ann': 'borne'\. Did you mean 'born'\?"):
        ann.borne  # noqa: B018 - there is none
    assert repr(clinic).endswith("3 patients, 1 visits)") or "3 patients" in repr(clinic)
    with pytest.raises(UnknownNameError, match=r"There is no added kind of thing 'telescope'\. There is: diagnosis,"):
        clinic.things("telescope")
    with pytest.raises(UnknownNameError, match="There is no added kind of thing"):
        clinic.things("dataset")


def test_queries_read_fields_metadata_and_links(clinic: og.Workspace) -> None:
    patients, visits = clinic.things("patient"), clinic.things("eye-visit")
    assert patients.where(F("born") > 1965).ids() == ["bea"]
    assert patients.where(site="Lima", born=1960).ids() == ["ann"]
    assert patients.where(F("codes").has("H35")).ids() == ["ann"]
    assert patients().order_by(F("born").desc()).ids() == ["bea", "ann", "cid"]
    assert visits.where(patient=patients["ann"]).ids() == ["v1"]
    assert visits.where(state="open", pressure=17.0).count() == 1
    frame = patients.to_pandas()
    assert list(frame.columns) == ["id", "born", "codes", "created_at", "site"]
    assert patients().group_by("site").agg(n=og.count()).to_pandas()["n"].tolist() == [1, 1, 1]
    assert patients().using(clinic.images()[2:]).ids() == ["ann"]
    assert clinic.things("diagnosis")().using(clinic.images()[2:]).count() == 0
    with pytest.raises(QueryError, match=r"using\(\) keeps what used images: .* The query is of visits"):
        visits().using(clinic.images())
    with pytest.raises(QueryError, match="role= is that of a data set"):
        patients().using(clinic.images(), role="train")
    with pytest.raises(UnknownNameError, match=r"There is no field of Patient 'age'"):
        patients.where(F("age") > 3)
    query = patients.where(F("born") > 1950)
    assert query.plan.spell() == "things('patient')().where(F(\"born\") > 1950)"
    assert ThingQuery.from_json(clinic.images().address, query.to_json()).plan == query.plan
    statement = query.order_by(F("born")).to_cypher()
    assert [row["id"] for row in clinic.cypher(statement.text, **statement.parameters)] == ["ann", "bea"]
    linked = visits.where(F("patient") == "ann").to_cypher()
    assert [row["id"] for row in clinic.cypher(linked.text, **linked.parameters)] == ["v1"]
    clinic.views.add("old", query)
    saved = clinic.views["old"]
    assert isinstance(saved, ThingQuery)
    assert saved.ids() == ["ann", "bea"]


def test_links_are_edges_and_queries(clinic: og.Workspace) -> None:
    ann = clinic.things("patient")["ann"]
    assert ann.images().ids() == ann.linked("images").ids() == clinic.images()[:3].ids()
    assert clinic.images(ann).where(label="b").ids() == ["image/000001"]
    visit = clinic.things("eye-visit")["v1"]
    assert visit.linked("patient").ids() == ["ann"]
    assert visit.patient == "ann"
    with pytest.raises(UnknownNameError, match=r"There is no link of EyeVisit 'doctor'\. There is: patient"):
        visit.linked("doctor")
    with pytest.raises(QueryError, match=r"EyeVisit 'v1' has no link to images\. Its links are: patient"):
        visit.images()
    text = "MATCH (v:EyeVisit)-[:VISIT_OF]->(p:Patient)-[:SHOWN_IN]->(i:Image) RETURN v.id AS v, count(i) AS n"
    assert list(clinic.cypher(text)) == [{"v": "v1", "n": 3}]
    image = clinic.images()[1]
    assert image.used_by("patient").ids() == ["ann"]
    assert image.used_by("diagnosis").ids() == ["d1"]
    with pytest.raises(QueryError, match=r"used_by\(\) finds .* not a visit"):
        image.used_by("eye-visit")


def test_impact_follows_lineage_through_added_kinds_with_their_words(clinic: og.Workspace) -> None:
    found = clinic.impact(clinic.images()[1])
    assert found.added == {"diagnosis": ("d1",), "letter": ("l1",)}
    assert (found.counts["diagnoses"], found.counts["letters"]) == (1, 1)
    assert "  diagnosis: d1\n  letter: l1" in str(found)
    rows = found.to_arrow().to_pylist()
    assert [row["id"] for row in rows if row["kind"] == "letter"] == ["l1"]
    assert [(edge.cause, edge.effect) for edge in found.edges if edge.effect[0] == "letter"] == [
        (("diagnosis", "d1"), ("letter", "l1"))
    ]
    assert "diagnoses" in str(found._repr_html_())
    found.picture()
    assert clinic.impact(clinic.images()[0]).added == {}, "a patient is shown in an image, and not made from it"


def test_the_same_thing_again_is_kept_and_another_is_refused(clinic: og.Workspace) -> None:
    patients, visits = clinic.things("patient"), clinic.things("eye-visit")
    again = patients.add("ann", born=1960, codes=["H35", "E11"], images=clinic.images()[:3], site="Lima")
    assert again.born == 1960
    assert len(patients) == 3
    with pytest.raises(ConflictError, match=r"There is a patient 'ann' already, with other born, images\. Change it"):
        patients.add("ann", born=1961, images=clinic.images()[:2])
    assert patients.add({"id": ["bea", "dan"], "born": [1971, 1999]}).ids() == ["bea", "dan"]
    with pytest.raises(DataError, match="Patient 'x' is there twice"):
        patients.add({"id": ["x", "x"]})
    with pytest.raises(DataError, match="The id of a patient is a text that is not empty"):
        patients.add(" ")
    with pytest.raises(DataError, match=r"add\(\) takes born for one thing"):
        patients.add({"id": ["y"]}, born=3)  # type: ignore[call-overload]
    with pytest.raises(MetadataError, match=r"Patient.born is of the type int, and 'old' is not"):
        patients.add("y", born="old")
    with pytest.raises(MetadataError, match=r"EyeVisit.patient is missing: every visit has one"):
        visits.add("v2", pressure=3)
    with pytest.raises(UnknownNameError, match=r"1 patient that 'patient' leads to do not exist, .* first 'eve'"):
        visits.add("v2", patient="eve")
    with pytest.raises(DataError, match=r"EyeVisit.patient leads to one Patient, not to 2"):
        visits.add("v2", patient=["ann", "bea"])
    with pytest.raises(MetadataError, match=r"EyeVisit.state is 'gone': the states of a visit are open, closed"):
        visits.add("v2", patient="ann", state="gone")
    with pytest.raises(MetadataError, match=r"A visit takes no metadata\. Its fields are: id, day, pressure, state"):
        visits.add("v2", patient="ann", doctor="Vera")
    with pytest.raises(MetadataError, match="'created_at' is a property of ours"):
        patients.add("y", created_at=3)
    assert visits.ids() == ["v1"], "nothing was stored by half"


def test_update_changes_fields_metadata_and_links(clinic: og.Workspace) -> None:
    patients, visits = clinic.things("patient"), clinic.things("eye-visit")
    ann = patients["ann"].update(born=1961, site=None, images=clinic.images()[3:], reviewed=True)
    assert (ann.born, ann.facts.get("site"), ann.reviewed) == (1961, None, True)
    assert ann.images().ids() == clinic.images()[3:].ids()
    patients.update({"id": ["bea", "cid"], "born": [None, 1990], "images": [clinic.images()[0], []]})
    assert [patient.born for patient in patients] == [1961, 1971, 1990]
    assert patients["bea"].images().ids() == ["image/000000"]
    patients.where(F("born") < 1980).update(site="Cusco", born=F("born") + 1)
    assert patients.where(site="Cusco").select("born").to_arrow().column("born").to_pylist() == [1962, 1972]
    assert visits["v1"].update(state="closed").state == "closed"
    with pytest.raises(MetadataError, match=r"EyeVisit.state is missing: every visit has one"):
        visits["v1"].update(state=None)
    with pytest.raises(MetadataError, match=r"Patient.born is of the type int, and 1.5 is not"):
        patients["ann"].update(born=1.5, site="x")
    assert patients["ann"].site == "Cusco", "nothing was changed"
    with pytest.raises(MetadataError, match=r"Patient.images is a link: update\(\) of one thing"):
        patients().update(images=None)
    with pytest.raises(MetadataError, match=r"Diagnosis.images is what it was made from, which does not change"):
        clinic.things("diagnosis")["d1"].update(images=clinic.images()[:1])
    assert clinic.fields["Patient.site"].type == "string"
    clinic.fields.retype("reviewed", str, "Patient")
    assert patients["ann"].reviewed == "True"
    values = patients().map(lambda patient: patient.born * 2, name="twice")
    assert values.tolist() == [3924, 3944, 3980]
    assert clinic.doctor().sound


def test_delete_undelete_and_purge(clinic: og.Workspace) -> None:
    patients, visits, diagnoses = (clinic.things(name) for name in ("patient", "eye-visit", "diagnosis"))
    with pytest.raises(FrozenError, match=r"Patient 'ann' is seen at the visit v1\. Nothing was deleted"):
        patients.delete("ann")
    with pytest.raises(FrozenError, match="The image is judged by the diagnosis d1"):
        clinic.images()[1].delete()
    assert visits.delete("v1", why="a test").deleted == {"EyeVisit": 1}
    assert patients["ann"].delete().deleted == {"Patient": 1}
    assert patients.ids() == ["bea", "cid"]
    assert "ann" not in patients
    with pytest.raises(ConflictError, match=r"Patient 'ann' was deleted by .* Its tombstone keeps the id"):
        patients.add("ann")
    assert {(row.kind, row.id) for row in clinic.deletions().itertuples()} == {("EyeVisit", "v1"), ("Patient", "ann")}
    with pytest.raises(ConflictError, match="EyeVisit 'v1' is of the patient 'ann', which is deleted"):
        visits.undelete("v1")
    assert str(patients.undelete("ann")) == "Restored: 1 Patient."
    visits.undelete("v1")
    assert (patients["ann"].site, visits["v1"].state) == ("Lima", "open")
    with pytest.raises(QueryError, match="A letter is not deleted: its kind is not deletable"):
        clinic.things("letter").delete("l1")
    with patients["bea"].lease(), pytest.raises(ConflictError, match="Patient 'bea' is being written by"):
        patients.delete("bea")
    with pytest.raises(QueryError, match="A visit has no lease"):
        visits["v1"].lease()

    assert patients.where(F("site") == "Quito").delete().deleted == {"Patient": 1}
    with pytest.raises(FrozenError, match=r"Patient 'ann' is seen at the visit v1\. Nothing was purged"):
        patients.purge("ann")
    purged = patients.purge(["ann", "cid"], why="asked for it", force=True)
    assert str(purged) == "Purged 2 patients. Still used: 1 is seen at the visit v1."
    assert patients.purge("ann").destroyed == {}
    (node,) = clinic.cypher("MATCH (p:Patient {id: 'ann'}) RETURN keys(p) AS keys, COUNT { (p)-[:SHOWN_IN]->() } AS n")
    assert (sorted(node["keys"]), node["n"]) == (["created_at", "deleted", "id"], 0)
    with pytest.raises(ConflictError, match="1 things were purged, first 'ann'"):
        patients.undelete("ann")
    assert clinic.deletions().set_index("id").purged[["ann"]].all()
    assert diagnoses.purge("d1").destroyed == {"diagnosis": 1}
    assert clinic.impact(clinic.images()[1]).added == {}
    assert clinic.doctor().sound


def damaged(db: og.Workspace, statement: str) -> str:
    db.cypher(statement + " RETURN 1 AS one", write=True)
    return str(db.doctor())


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("MATCH (n:Patient {id: 'ann'}) DETACH DELETE n", "Patient nodes: 1 were made, and are gone from the graph"),
        ("MATCH (n:EyeVisit {id: 'v1'}) SET n.state = 'lost'", "EyeVisit nodes: 1 are in a state that there is not"),
        ("MATCH (n:EyeVisit {id: 'v1'}) SET n.state = null", "EyeVisit nodes: 1 have no state"),
        ("MATCH (n:Patient {id: 'ann'}) SET n.born = 'old'", "metadata Patient.born: 1 values are not int"),
        ("MATCH (n:Patient {id: 'ann'}) SET n.doctor = 'Vera'", "metadata Patient.doctor: 1 values were written past"),
        ("MATCH (n:EyeVisit {id: 'v1'}) SET n.doctor = 'Vera'", "metadata EyeVisit.doctor: 1 values were written past"),
        ("MATCH (n:Patient {id: 'ann'}) SET n.deleted = true", "Patient nodes: 1 are deleted, and nothing says when"),
        ("MATCH (n:Patient {id: 'ann'}) SET n.created_at = 'then'", "Patient nodes: 1 have no date as created_at"),
        ("CREATE (:Field {id: 'Dog.age', kind: 'Dog', name: 'age', type: 'int'})", "metadata of Dog: 1 types are"),
        ("MATCH (:Diagnosis)-[e:MADE_AT]->() DELETE e", "Its edge MADE_AT to eye visit 'v1' is missing"),
    ],
)
def test_the_doctor_finds_damage(clinic: og.Workspace, statement: str, fault: str) -> None:
    assert fault in damaged(clinic, statement)


def test_the_doctor_draws_an_edge_again(clinic: og.Workspace) -> None:
    clinic.cypher("MATCH (:Diagnosis)-[e:JUDGED_BY]->() DELETE e RETURN 1 AS one", write=True)
    assert not clinic.doctor().sound
    assert clinic.doctor(repair=True).sound
    assert clinic.things("diagnosis")["d1"].images().ids() == ["image/000001"]


def test_things_are_whole_without_their_package(clinic: og.Workspace, package: dict[str, Any]) -> None:
    package.clear()
    patients = clinic.things("patient")
    assert patients.where(F("born") > 1950, site="Lima").ids() == ["ann"]
    assert patients["ann"].images().count() == 3
    patients["ann"].update(born=1950)
    clinic.things("eye-visit").delete("v1")
    clinic.things("eye-visit").undelete("v1")
    patients.add("dan", born=2000)
    assert clinic.impact(clinic.images()[1]).counts["diagnoses"] == 1
    assert clinic.doctor().sound
    assert added_kinds(clinic._stores.graph).keys() == {"Patient", "EyeVisit", "Diagnosis", "Letter"}
    assert all(from_json(label, to_json(kind)) == kind for label, kind in added_kinds(clinic._stores.graph).items())


def test_a_package_that_is_newer_adds_fields_and_changes_none(clinic: og.Workspace, package: dict[str, Any]) -> None:
    package["patient"] = replace(PATIENT, own={"born": FieldType.INT, "eye": FieldType.STRING}, indexed=("eye",))
    patients = clinic.things("patient")
    assert patients["ann"].codes == ["H35", "E11"], "a field that is left out stays where it has values"
    assert patients.add("dan", eye="left").eye == "left"
    assert "eye" in kinds_of(clinic._stores.graph)["Patient"].own
    package["patient"] = replace(PATIENT, own={"born": FieldType.STRING})
    with pytest.raises(ConflictError, match=r"Patient.born is int in this workspace, and string in the installed"):
        patients.ids()
    package["patient"] = replace(PATIENT, links={"images": Link("HAS", "Image", many=True)})
    with pytest.raises(ConflictError, match="The link 'images' of Patient is SHOWN_IN to Image in this workspace"):
        patients.ids()
    package["patient"] = replace(PATIENT, own={"site": FieldType.STRING})
    with pytest.raises(ConflictError, match=r"Patient.site is metadata in this workspace, and a field of the"):
        patients.add("eve")


@pytest.mark.parametrize(
    ("definition", "fault"),
    [
        ("{", r"cannot be read \(JSONDecodeError"),
        ("[]", r"cannot be read \(TypeError"),
        ("{}", r"cannot be read \(KeyError"),
        (to_json(replace(PATIENT, label="Patient) DETACH DELETE (n")), "has the label 'Patient\\) DETACH DELETE"),
    ],
)
def test_a_damaged_definition_is_named_and_leaves_the_rest_readable(
    clinic: og.Workspace, package: dict[str, Any], definition: str, fault: str
) -> None:
    package.clear()
    clinic.cypher(
        "MATCH (k:NodeKind {id: 'Patient'}) SET k.definition = $text RETURN 1 AS one", text=definition, write=True
    )
    with pytest.raises(StoreError, match=rf"The definition of the kind 'Patient', which the graph keeps, {fault}"):
        clinic.things("patient")
    assert clinic.things("eye-visit").ids() == ["v1"]
    assert "The definition of the kind 'Patient'" in str(clinic.doctor())


def test_a_kind_that_was_never_used_reads_as_empty(db: og.Workspace) -> None:
    patients = db.things("patient")
    assert (patients.ids(), len(patients), list(patients)) == ([], 0, [])
    assert added_kinds(db._stores.graph) == {}
    with pytest.raises(UnknownNameError, match="There is no patient 'ann'"):
        patients["ann"]


def test_several_may_use_a_kind_for_the_first_time_at_once(db: og.Workspace, package: dict[str, Any]) -> None:
    label = f"Rush{np.random.default_rng().integers(10**9)}"  # the engine of the tests keeps its constraints
    package[label.lower()] = Kind(label=label, word="rush", own={"n": FieldType.INT}, indexed=("n",))
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: db.things(label.lower()).add("one", n=3), range(8)))
    assert {thing.n for thing in made} == {3}
    assert db.things(label.lower()).ids() == ["one"]
    assert db.doctor().sound


def test_constraints_and_indexes_are_made_with_the_first_thing(clinic: og.Workspace) -> None:
    with pytest.raises(ConflictError):
        clinic.cypher("CREATE (p:Patient {id: 'ann'}) RETURN p.id AS id", write=True)
    assert clinic.things("patient").ids() == ["ann", "bea", "cid"]


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("a text", r"The kind of thing 'patient' is 'a text': give a odin_graph\.schema\.kinds\.Kind"),
        (replace(PATIENT, label="Person"), "has the label 'Person': it is 'Patient'"),
        (replace(PATIENT, key="born"), "sets 'key', which is for our kinds alone"),
        (replace(PATIENT, own={"id": FieldType.INT}), "has a field 'id': use an identifier other than id, key"),
        (replace(PATIENT, own={"Patient ID": FieldType.INT}), "has a field 'Patient ID': use an identifier"),
        (replace(PATIENT, own={"images": FieldType.INT}), "has 'images' both as a field and as a link"),
        (replace(PATIENT, own={"born": PYTHON}), "has a field 'born' whose type is <class 'int'>: give a FieldType"),
        (replace(PATIENT, needed=("age",)), "needs 'age', which it does not have"),
        (replace(PATIENT, indexed=("codes",)), "indexes 'codes': an index is of a field of its own with one value"),
        (replace(PATIENT, links={"x": Link("USED", "Image")}), "has a link 'x' of the type 'USED': use capitals"),
        (replace(PATIENT, links={"x": Link("a`b", "Image")}), "has a link 'x' of the type 'a`b': use capitals"),
        (replace(PATIENT, links={"x": Link("X", "Image) //")}), "has a link 'x' to 'Image\\) //', which is no label"),
        (replace(PATIENT, links={"x": Link("X", "Image", many=True, whole=True)}), "both many and whole"),
        (replace(PATIENT, links={"x": Link("X", "Image"), "y": Link("X", "Image")}), "has links 'x' and 'y' of one"),
    ],
)
def test_a_kind_that_cannot_be_is_refused(db: og.Workspace, package: dict[str, Any], kind: Any, fault: str) -> None:
    package["patient"] = kind
    with pytest.raises(PluginError, match=fault):
        db.things("patient")


def test_a_label_of_ours_or_a_link_to_nothing_is_refused(db: og.Workspace, package: dict[str, Any]) -> None:
    package["segment"] = Kind(label="Segment", word="segment")
    with pytest.raises(PluginError, match="has a label of ours, 'Segment'"):
        db.things("segment")
    package["patient"] = replace(PATIENT, links={"x": Link("X", "Telescope")})
    with pytest.raises(UnknownNameError, match="There is no added kind of thing 'telescope'"):
        db.things("patient").add("ann")


def test_a_query_of_no_kind_is_refused(db: og.Workspace) -> None:
    for label in ("Telescope", "AttributionSet", "Image) DETACH DELETE (n", ""):
        data = wire.to_json(Plan(Things(label)))
        with pytest.raises(UnknownNameError, match="kind of thing"):
            ThingQuery.from_json(db.images().address, data).count()


@pytest.fixture
def far(clinic: og.Workspace) -> Iterator[og.Workspace]:
    token = create_token(clinic._stores, "reader")
    with served(clinic, Settings(cypher=True)) as port, og.connect(f"http://127.0.0.1:{port}", token=token) as there:
        yield there


def test_far_away_reads_as_near(clinic: og.Workspace, far: og.Workspace) -> None:
    def read(db: og.Workspace) -> list[Any]:
        patients, image = db.things("patient"), db.images()[1]
        return [
            patients.ids(),
            patients["ann"].facts,
            patients["ann"].images().ids(),
            patients.where(F("born") > 1950).order_by(F("born").desc()).ids(),
            patients().using(db.images()[2:]).ids(),
            patients.to_pandas().to_dict("list"),
            db.things("eye-visit")["v1"].linked("patient").ids(),
            image.used_by("diagnosis").ids(),
            db.impact(image).added,
            db.fields.ids(),
            repr(patients),
        ]

    near, distant = repr(read(clinic)), repr(read(far))
    assert near == distant
    with pytest.raises(UnknownNameError, match="There is no added kind of thing 'telescope'"):
        far.things("telescope")
    with pytest.raises(RemoteError, match="add needs the workspace itself"):
        far.things("patient").add("eve")
