// SPDX-License-Identifier: GPL-2.0
/*
 * Somebody else's module that takes TCP's place in inet_protos[] as tcp_dispatch
 * does, on top of it. For test_module.py.
 */

#include <linux/module.h>
#include <net/protocol.h>

static const struct net_protocol *below;
static struct net_protocol on_top;

static int hook_receive(struct sk_buff *skb)
{
	return below->handler(skb);
}

static int __init hook_on_top_init(void)
{
	const struct net_protocol **slot =
		(const struct net_protocol **)&inet_protos[IPPROTO_TCP];

	below = READ_ONCE(*slot);
	on_top = *below;
	on_top.handler = hook_receive;
	return cmpxchg(slot, below, &on_top) == below ? 0 : -EBUSY;
}

static void __exit hook_on_top_exit(void)
{
	const struct net_protocol **slot =
		(const struct net_protocol **)&inet_protos[IPPROTO_TCP];

	WARN_ON(cmpxchg(slot, &on_top, below) != &on_top);
	synchronize_net();
}

module_init(hook_on_top_init);
module_exit(hook_on_top_exit);
MODULE_DESCRIPTION("Hooks TCP on top of whoever did before; a selftest of tcp_dispatch");
MODULE_LICENSE("GPL");
