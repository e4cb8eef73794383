"""Names of users and groups that the server under test knows, among names that it does not."""

import os

import schemathesis
from hypothesis import strategies as st


def names(variable):
    known = [name for name in os.environ.get(variable, "").split(",") if name]
    unknown = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=16)
    return st.one_of(st.sampled_from(known), st.sampled_from(known), unknown) if known else unknown


schemathesis.openapi.format("uid", names("YIZHAN_USERS"))
schemathesis.openapi.format("gid", names("YIZHAN_GROUPS"))
