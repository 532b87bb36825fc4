from __future__ import annotations

import network

SAVED = """\
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:CNI-023fe8d19af0eeb175368c15 - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-TCOU7JCQXEZGVUNU - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.244.0.4/32 -m comment --comment "name: \\"x\\" id: \\"9e\\"" -j CNI-023fe8d19af0eeb175368c15
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A KUBE-SERVICES -d 10.96.0.10/32 -p udp -j KUBE-SVC-TCOU7JCQXEZGVUNU
-A CNI-023fe8d19af0eeb175368c15 ! -d 224.0.0.0/4 -j MASQUERADE
COMMIT
"""


def test_chains_are_emptied_before_they_go_and_others_stay() -> None:
    assert network._removal(SAVED) == [
        '-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        '-D POSTROUTING -s 10.244.0.4/32 -m comment --comment "name: \\"x\\" id: \\"9e\\"" -j CNI-023fe8d19af0eeb175368c15',
        "-F CNI-023fe8d19af0eeb175368c15",
        "-F KUBE-SERVICES",
        "-F KUBE-SVC-TCOU7JCQXEZGVUNU",
        "-X CNI-023fe8d19af0eeb175368c15",
        "-X KUBE-SERVICES",
        "-X KUBE-SVC-TCOU7JCQXEZGVUNU",
    ]


def test_a_table_without_our_chains_needs_nothing() -> None:
    assert network._removal("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n") == []
