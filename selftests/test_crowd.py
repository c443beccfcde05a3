# SPDX-License-Identifier: GPL-2.0
"""Many connections at once over links that lose, delay, reorder and duplicate; `selftests/crowd` has 10,000.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1     netem at both ends
                                 192.0.2.1:80      service
                                 10.77.0.1..3:80   three daemons that send back what they get
"""

from lib import crowd, wait
from lib.runner import test

# A kernel with KASAN, emulated, is given less to do.
_NUMBER = 300 if wait.SCALE == 1 else 100


def setup(version):
    return crowd.setup(version)


@test
def hundreds_of_connections_open_at_once_survive_loss_and_reordering(net):
    return crowd.meet(net, _NUMBER)
