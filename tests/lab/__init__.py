# SPDX-License-Identifier: Apache-2.0
"""The lab: a small mail world in network namespaces, for demo, tests and measurements.

    clients ---- front network ---- balancer ---- back network ---- backends (Postfix)
    client0      192.0.2.0/24          lb         10.0.1.0/24       mta1, mta2, mta3
                 2001:db8:25::/64                 fd00:1::/64

Two regions, with routers, two balancers each, etcd and a name server: lab.regions.

Everything carries the lab's own identity, so labs run side by side, and `clean` removes what a killed
one left. Needs root, and nothing but Python's standard library.

    with Lab() as lab:
        lab.start_backends()
        lab.start_balancer()
        mail = lab.mailer(target=VIP4, port=25, sessions=500)
"""
