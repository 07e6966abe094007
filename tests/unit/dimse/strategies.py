"""Values of the network, for Hypothesis."""

from hypothesis import strategies as st

from isocenter.dimse import pdu
from isocenter.dimse.command import ELEMENTS, Command
from isocenter.dimse.user_information import (
    CommonExtended,
    Extended,
    Role,
    UserIdentity,
    UserInformation,
    Window,
)

uids = st.text("0129.", min_size=1, max_size=64)
titles = st.text("ABZ09_ ", min_size=1, max_size=16).map(lambda text: text.strip() or "A")
words = st.integers(0, 0xFFFF)
octets = st.integers(0, 0xFF)

information = st.builds(
    UserInformation,
    maximum_length=st.integers(0, 0xFFFFFFFF),
    implementation_class=uids,
    implementation_version=titles,
    window=st.none() | st.builds(Window, words, words),
    roles=st.lists(st.builds(Role, uids, st.booleans(), st.booleans()), max_size=3).map(tuple),
    extended=st.lists(st.builds(Extended, uids, st.binary(max_size=9)), max_size=3).map(tuple),
    common_extended=st.lists(
        st.builds(CommonExtended, uids, uids, st.lists(uids, max_size=3).map(tuple)), max_size=2
    ).map(tuple),
    identity=st.none()
    | st.builds(
        UserIdentity, octets, st.binary(max_size=20), st.binary(max_size=20), st.booleans()
    ),
    identity_response=st.none() | st.binary(max_size=20),
)
requests = st.builds(
    pdu.AssociateRequest,
    called_ae_title=titles,
    calling_ae_title=titles,
    contexts=st.lists(
        st.builds(pdu.ProposedContext, octets, uids, st.lists(uids, max_size=4).map(tuple)),
        max_size=5,
    ).map(tuple),
    information=information,
    application_context=uids,
    protocol_version=words,
)
answers = st.builds(pdu.AnsweredContext, octets, st.just(0), uids) | st.builds(
    pdu.AnsweredContext, octets, st.integers(1, 255), st.just("")
)
accepts = st.builds(
    pdu.AssociateAccept,
    called_ae_title=titles,
    calling_ae_title=titles,
    contexts=st.lists(answers, max_size=5).map(tuple),
    information=information,
    application_context=uids,
    protocol_version=words,
)
values = st.builds(pdu.DataValue, octets, st.booleans(), st.booleans(), st.binary(max_size=40))
units = st.one_of(
    requests,
    accepts,
    st.builds(pdu.AssociateReject, octets, octets, octets),
    st.builds(pdu.DataTransfer, st.lists(values, min_size=1, max_size=4).map(tuple)),
    st.just(pdu.ReleaseRequest()),
    st.just(pdu.ReleaseResponse()),
    st.builds(pdu.Abort, octets, octets),
)

BY_VR = {
    "US": words,
    "UI": uids,
    "AE": titles,
    "LO": titles,
    "AT": st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=5).map(tuple),
}
commands = st.fixed_dictionaries(
    {"CommandField": words},
    optional={keyword: BY_VR[vr] for keyword, vr in ELEMENTS.values() if keyword != "CommandField"},
).map(Command)
