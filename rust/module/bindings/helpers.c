// SPDX-License-Identifier: GPL-2.0
/* See helpers.h. */

#include <linux/fs.h>
#include <linux/icmpv6.h>
#include <linux/inetdevice.h>
#include <linux/magic.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/ip.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/rtnetlink.h>
#include <linux/sched/signal.h>
#include <net/dst.h>
#include <net/fib_rules.h>
#include <net/inet_dscp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ip_fib.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/icmp.h>
#include <net/inet_timewait_sock.h>
#include <net/sock.h>

#include "../generated/netlink.h"
#include "helpers.h"

void *tcp_dispatch_kmalloc_atomic(size_t size)
{
	/* Of a constant, kmalloc() finds the cache when it is compiled. */
	switch (size) {
	case 0 ... 128:
		return kmalloc(128, GFP_ATOMIC);
	case 129 ... 192:
		return kmalloc(192, GFP_ATOMIC);
	default:
		return kmalloc(size, GFP_ATOMIC);
	}
}

/* sk_buff */

bool tcp_dispatch_pskb_may_pull(struct sk_buff *skb, unsigned int len)
{
	return pskb_may_pull(skb, len);
}

struct sk_buff *tcp_dispatch_alloc_skb(unsigned int size)
{
	return alloc_skb(size, GFP_ATOMIC);
}

void tcp_dispatch_skb_reserve(struct sk_buff *skb, int len)
{
	skb_reserve(skb, len);
}

void tcp_dispatch_skb_reset_network_header(struct sk_buff *skb)
{
	skb_reset_network_header(skb);
}

void tcp_dispatch_skb_set_transport_header(struct sk_buff *skb, int offset)
{
	skb_set_transport_header(skb, offset);
}

void tcp_dispatch_skb_dst_set(struct sk_buff *skb, struct dst_entry *dst)
{
	skb_dst_drop(skb);
	skb_dst_set(skb, dst);
}

bool tcp_dispatch_skb_dst_replace(struct sk_buff *skb, struct dst_entry *dst)
{
	/* Who set a route without counting it is in a read section that lasts until the packet left. */
	if (skb_dst_is_noref(skb)) {
		skb_dst_set_noref(skb, dst);
		return true;
	}
	if (!dst_hold_safe(dst))
		return false;
	skb_dst_drop(skb);
	skb_dst_set(skb, dst);
	return true;
}

void tcp_dispatch_kfree_skb(struct sk_buff *skb, enum skb_drop_reason reason)
{
	kfree_skb_reason(skb, reason);
}

void tcp_dispatch_skb_set_early_demux(struct sk_buff *skb, struct sock *sk)
{
	struct dst_entry *dst;

	/* As tcp_v6_early_demux() ends; with IPv4 nobody looks at the cookie. */
	skb->sk = sk;
	skb->destructor = sock_pfree;
	if (!sk_fullsock(sk))
		return;
	dst = rcu_dereference(sk->sk_rx_dst);
	if (dst)
		dst = dst_check(dst, READ_ONCE(sk->sk_rx_dst_cookie));
	if (dst && sk->sk_rx_dst_ifindex == skb->skb_iif)
		skb_dst_set_noref(skb, dst);
}

void tcp_dispatch_skb_set_listener(struct sk_buff *skb, struct sock *sk)
{
	/* Who of those that are bound to nothing listens to a VRF is TCP's to say. */
	if (netif_is_l3_master(skb->dev))
		return;
	skb->sk = sk;
	skb->destructor = sock_pfree;
}

void tcp_dispatch_skb_orphan(struct sk_buff *skb)
{
	skb_orphan(skb);
}

struct dst_entry *tcp_dispatch_skb_dst(const struct sk_buff *skb)
{
	return skb_dst(skb);
}

bool tcp_dispatch_dst_hold_input(struct dst_entry *dst)
{
	/* What ip_route_input_slow() doesn't keep itself, or counts by realm, is of one packet. */
#ifdef CONFIG_IP_ROUTE_CLASSID
	if (dst->tclassid)
		return false;
#endif
	/* What is of a VRF is not for packets that come past it. */
	return list_empty(&dst->rt_uncached) && !netif_is_l3_master(dst_dev_rcu(dst)) &&
	       dst_hold_safe(dst);
}

void tcp_dispatch_skb_dst_set_noref(struct sk_buff *skb, struct dst_entry *dst)
{
	skb_dst_set_noref(skb, dst);
}

int tcp_dispatch_ll_max_header(void)
{
	return LL_MAX_HEADER;
}

bool tcp_dispatch_tcp_v4_checksum_is_right(struct sk_buff *skb)
{
	return !skb_checksum_validate(skb, IPPROTO_TCP, inet_compute_pseudo);
}

bool tcp_dispatch_tcp_v6_checksum_is_right(struct sk_buff *skb)
{
	return !skb_checksum_validate(skb, IPPROTO_TCP, ip6_compute_pseudo);
}

int tcp_dispatch_ipv6_find_tcp(const struct sk_buff *skb)
{
	u8 next = ipv6_hdr(skb)->nexthdr;
	__be16 fragment;
	int offset;

	offset = ipv6_skip_exthdr(skb, sizeof(struct ipv6hdr), &next, &fragment);
	/* Fragments aren't TCP's own. */
	return next == IPPROTO_TCP && !fragment ? offset : -1;
}

void tcp_dispatch_ipv6_local_out(struct net *net, struct sock *sk, struct sk_buff *skb)
{
	/* The device that ip6_xmit() would name to netfilter is the port. */
	NF_HOOK(NFPROTO_IPV6, NF_INET_LOCAL_OUT, net, sk, skb, NULL,
		skb_dst(skb)->dev, dst_output);
}

/* dst and routes */

struct dst_entry *tcp_dispatch_dst_check(struct dst_entry *dst, u32 cookie)
{
	return dst_check(dst, cookie);
}

u32 tcp_dispatch_dst_cookie(const struct dst_entry *dst)
{
	return dst->ops->family == AF_INET6 ? rt6_get_cookie(dst_rt6_info(dst)) : 0;
}

bool tcp_dispatch_netif_index_is_l3_master(struct net *net, int ifindex)
{
	return netif_index_is_l3_master(net, ifindex);
}

/* The first rule, if it is one for the local table. */
static const struct fib_rule *local_rule(struct fib_rules_ops *ops)
{
	const struct fib_rule *rule;

	rule = list_first_or_null_rcu(&ops->rules_list, struct fib_rule, list);
	return rule && rule->table == RT_TABLE_LOCAL ? rule : NULL;
}

bool tcp_dispatch_ipv4_routes_by_destination(const struct sk_buff *skb, struct net *net)
{
	const struct fib_rule *rule = local_rule(net->ipv4.rules_ops);
	const struct in_device *in_dev = __in_dev_get_rcu(skb->dev);
	const struct iphdr *ip = ip_hdr(skb);

	/* What ip_route_input_slow() and fib_validate_source() look at besides. */
	return rule && fib4_rule_default(rule) && in_dev && !ip4h_dscp(ip) &&
	       !ipv4_is_loopback(ip->saddr) && !ipv4_is_zeronet(ip->saddr) &&
	       !fib_num_tclassid_users(net) && !(skb->mark && IN_DEV_SRC_VMARK(in_dev));
}

bool tcp_dispatch_ipv6_routes_by_destination(struct net *net)
{
	const struct fib_rule *rule = local_rule(net->ipv6.fib6_rules_ops);

	return rule && fib6_rule_default(rule) && !fib6_routes_require_src(net);
}

bool tcp_dispatch_ipv4_accepts_source(const struct sk_buff *skb,
				      const struct dst_entry *way_back)
{
	const struct in_device *in_dev = __in_dev_get_rcu(skb->dev);

	/* As __fib_validate_source(), but for routes of several devices and for no route. */
	return dst_rtable(way_back)->rt_type == RTN_UNICAST &&
	       (dst_dev_rcu(way_back) == skb->dev || (in_dev && !IN_DEV_RPFILTER(in_dev)));
}

bool tcp_dispatch_ipv4_routes_by_addresses(const struct net *net)
{
	const struct fib_rule *rule;

#ifdef CONFIG_IP_ROUTE_MULTIPATH
	if (READ_ONCE(net->ipv4.sysctl_fib_multipath_hash_policy))
		return false;
#endif
#ifdef CONFIG_XFRM
	if (READ_ONCE(net->xfrm.policy_count[XFRM_POLICY_OUT]))
		return false;
#endif
	list_for_each_entry_rcu(rule, &net->ipv4.rules_ops->rules_list, list) {
		if (fib_rule_port_range_set(&rule->sport_range) ||
		    fib_rule_port_range_set(&rule->dport_range))
			return false;
	}
	return true;
}

bool tcp_dispatch_ipv4_route_input(struct sk_buff *skb)
{
	const struct iphdr *ip = ip_hdr(skb);

	return !ip_route_input_noref(skb, ip->daddr, ip->saddr, ip4h_dscp(ip), skb->dev);
}

bool tcp_dispatch_ipv6_route_input(struct sk_buff *skb)
{
	/* Where there is none, it is one that drops the packet. */
	ip6_route_input(skb);
	return true;
}

void tcp_dispatch_dst_hold(struct dst_entry *dst)
{
	dst_hold(dst);
}

bool tcp_dispatch_dst_is_local(const struct dst_entry *dst)
{
	return dst->ops->family == AF_INET ?
		       dst_rtable(dst)->rt_flags & RTCF_LOCAL :
		       dst_rt6_info(dst)->rt6i_flags & RTF_LOCAL;
}

bool tcp_dispatch_dst_is_to_many(const struct dst_entry *dst)
{
	/* IPv6 has no broadcast, and no packet comes from a multicast address. */
	return dst->ops->family == AF_INET &&
	       dst_rtable(dst)->rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST);
}

u32 tcp_dispatch_dst_mtu(const struct dst_entry *dst)
{
	return dst_mtu(dst);
}

u32 tcp_dispatch_dst_metric_advmss(struct dst_entry *dst)
{
	return dst_metric_advmss(dst);
}

/* net_protocol */

DEFINE_STATIC_CALL_NULL(tcp_dispatch_ipv4_tcp, tcp_dispatch_receive);
DEFINE_STATIC_CALL_NULL(tcp_dispatch_ipv6_tcp, tcp_dispatch_receive);

void tcp_dispatch_ipv4_set_tcp(int (*receive)(struct sk_buff *skb))
{
	static_call_update(tcp_dispatch_ipv4_tcp, receive);
}

void tcp_dispatch_ipv6_set_tcp(int (*receive)(struct sk_buff *skb))
{
	static_call_update(tcp_dispatch_ipv6_tcp, receive);
}

const struct net_protocol *tcp_dispatch_inet_protos_tcp(void)
{
	return rcu_access_pointer(inet_protos[IPPROTO_TCP]);
}

bool tcp_dispatch_inet_protos_cmpxchg(const struct net_protocol *from,
				      const struct net_protocol *to)
{
	const struct net_protocol **slot =
		(const struct net_protocol **)&inet_protos[IPPROTO_TCP];

	/* A full barrier, as publication by rcu_assign_pointer() needs at least. */
	return cmpxchg(slot, from, to) == from;
}

struct inet6_protocol *tcp_dispatch_inet6_protos_tcp(void)
{
	return rcu_access_pointer(inet6_protos[IPPROTO_TCP]);
}

bool tcp_dispatch_inet6_protos_cmpxchg(const struct inet6_protocol *from,
				       const struct inet6_protocol *to)
{
	const struct inet6_protocol **slot =
		(const struct inet6_protocol **)&inet6_protos[IPPROTO_TCP];

	/* As with IPv4. */
	return cmpxchg(slot, from, to) == from;
}

/* l3_rx_handler */

struct tcp_dispatch_static_keys tcp_dispatch_static_keys = {
	.misses_devices = STATIC_KEY_FALSE_INIT,
	.checks_sources = STATIC_KEY_FALSE_INIT,
};

void tcp_dispatch_set_misses_devices(bool misses)
{
	if (misses)
		static_branch_enable(&tcp_dispatch_static_keys.misses_devices);
	else
		static_branch_disable(&tcp_dispatch_static_keys.misses_devices);
}

void tcp_dispatch_check_sources(void)
{
	static_branch_enable(&tcp_dispatch_static_keys.checks_sources);
}

/* per-CPU data */

u64 __percpu *tcp_dispatch_alloc_percpu_u64(unsigned int n, bool atomic)
{
	return __alloc_percpu_gfp(n * sizeof(u64), sizeof(u64),
				  atomic ? GFP_ATOMIC : GFP_KERNEL);
}

void tcp_dispatch_this_cpu_add(u64 __percpu *counters, unsigned int i, u64 n)
{
	this_cpu_add(counters[i], n);
}

void tcp_dispatch_this_cpu_add_one_and(u64 __percpu *one, u64 __percpu *other,
				       unsigned int i, u64 n)
{
	this_cpu_inc(one[i]);
	this_cpu_add(one[i + 1], n);
	this_cpu_inc(other[i]);
	this_cpu_add(other[i + 1], n);
}

u64 tcp_dispatch_percpu_sum(u64 __percpu *counters, unsigned int i)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(counters, cpu)[i]);
	return sum;
}

/* net_device */

void tcp_dispatch_netdev_set_virtual(struct net_device *dev)
{
	dev->lltx = true;
	dev->netns_immutable = true;
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_DSTATS;
	dev->priv_flags |= IFF_NO_QUEUE | IFF_NO_RX_HANDLER;
}

void tcp_dispatch_netdev_set_l3_slave(struct net_device *dev, bool slave)
{
	if (slave)
		dev->priv_flags |= IFF_L3MDEV_SLAVE;
	else
		dev->priv_flags &= ~IFF_L3MDEV_SLAVE;
}

bool tcp_dispatch_netif_is_l3_slave(const struct net_device *dev)
{
	return netif_is_l3_slave(dev);
}

struct net_device *tcp_dispatch_netdev_first_lower(struct net_device *dev)
{
	struct net_device *lower;
	struct list_head *iter;

	netdev_for_each_lower_dev(dev, lower, iter)
		return lower;
	return NULL;
}

void tcp_dispatch_netdev_tx_dropped(struct net_device *dev)
{
	dev_dstats_tx_dropped(dev);
}

struct net_device *tcp_dispatch_notified_netdev(void *info)
{
	return netdev_notifier_info_to_dev(info);
}

bool tcp_dispatch_netdev_takes_l3_rx_handler(const struct net_device *dev)
{
	return !(dev->flags & IFF_LOOPBACK) && !dev->l3mdev_ops;
}

bool tcp_dispatch_netdev_asks_l3_rx_handler(const struct net_device *dev)
{
	return netif_has_l3_rx_handler(dev) && !netif_is_l3_slave(dev);
}

void tcp_dispatch_netdev_set_l3_rx_handler(struct net_device *dev, bool set)
{
	if (set)
		dev->priv_flags |= IFF_L3MDEV_RX_HANDLER;
	else
		dev->priv_flags &= ~IFF_L3MDEV_RX_HANDLER;
}

void tcp_dispatch_for_each_netdev(struct net *net,
				  void (*visit)(struct net_device *dev, void *context),
				  void *context)
{
	struct net_device *dev;

	ASSERT_RTNL();
	if (net) {
		for_each_netdev(net, dev)
			visit(dev, context);
		return;
	}
	down_read(&net_rwsem);
	for_each_net(net) {
		for_each_netdev(net, dev)
			visit(dev, context);
	}
	up_read(&net_rwsem);
}

/* sockets */

void tcp_dispatch_send_port_unreachable(struct sk_buff *skb)
{
	if (skb->protocol == htons(ETH_P_IP))
		icmp_send(skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
	else
		icmpv6_send(skb, ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH, 0);
}

/* Of a TIME_WAIT socket; whether it has a time stamp. Its owner may change it meanwhile. */
bool tcp_dispatch_time_wait(const struct sock *sk, u32 *rcv_nxt, u32 *ts_recent)
{
	const struct tcp_timewait_sock *tw = tcp_twsk(sk);

	*rcv_nxt = READ_ONCE(tw->tw_rcv_nxt);
	*ts_recent = READ_ONCE(tw->tw_ts_recent);
	return READ_ONCE(tw->tw_ts_recent_stamp);
}

int tcp_dispatch_sk_state(const struct sock *sk)
{
	int state = inet_sk_state_load(sk);

	return state == TCP_TIME_WAIT ? READ_ONCE(inet_twsk(sk)->tw_substate) : state;
}

u32 tcp_dispatch_sk_ack_backlog(const struct sock *sk)
{
	return READ_ONCE(sk->sk_ack_backlog);
}

u32 tcp_dispatch_sk_max_ack_backlog(const struct sock *sk)
{
	return READ_ONCE(sk->sk_max_ack_backlog);
}

int tcp_dispatch_sk_bound_dev_if(const struct sock *sk)
{
	return READ_ONCE(sk->sk_bound_dev_if);
}

kuid_t tcp_dispatch_sk_uid(const struct sock *sk)
{
	return READ_ONCE(sk->sk_uid);
}

/* netlink */

int tcp_dispatch_nla_parse_socket_address(struct nlattr *tb[],
					  const struct nlattr *nla,
					  struct netlink_ext_ack *extack)
{
	return nla_parse_nested(tb, TCP_DISPATCH_A_SOCKET_ADDRESS_MAX, nla,
				tcp_dispatch_socket_address_nl_policy, extack);
}

u32 tcp_dispatch_netlink_portid(const struct netlink_callback *cb)
{
	return NETLINK_CB(cb->skb).portid;
}

struct nlattr *tcp_dispatch_nla_nest_start(struct sk_buff *skb, int attrtype)
{
	return nla_nest_start(skb, attrtype);
}

void tcp_dispatch_nla_nest_end(struct sk_buff *skb, struct nlattr *start)
{
	nla_nest_end(skb, start);
}

static const struct genl_multicast_group tcp_dispatch_groups[] = {
	[TCP_DISPATCH_NLGRP_EVENTS] = { .name = TCP_DISPATCH_MCGRP_EVENTS },
};

/* The family is data that the specification determines; its initialiser is C. */
static struct genl_family tcp_dispatch_family __ro_after_init = {
	.name		= TCP_DISPATCH_FAMILY_NAME,
	.version	= TCP_DISPATCH_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= tcp_dispatch_nl_ops,
	.n_split_ops	= ARRAY_SIZE(tcp_dispatch_nl_ops),
	.mcgrps		= tcp_dispatch_groups,
	.n_mcgrps	= ARRAY_SIZE(tcp_dispatch_groups),
};

void *tcp_dispatch_genlmsg_put(struct sk_buff *skb, u32 portid, u32 seq,
			       int flags, u8 cmd)
{
	return genlmsg_put(skb, portid, seq, &tcp_dispatch_family, flags, cmd);
}

void *tcp_dispatch_genlmsg_iput(struct sk_buff *skb, const struct genl_info *info)
{
	return genlmsg_iput(skb, info);
}

void tcp_dispatch_genlmsg_end(struct sk_buff *skb, void *hdr)
{
	genlmsg_end(skb, hdr);
}

void tcp_dispatch_genlmsg_cancel(struct sk_buff *skb, void *hdr)
{
	genlmsg_cancel(skb, hdr);
}

struct sk_buff *tcp_dispatch_genlmsg_new(bool atomic)
{
	return genlmsg_new(GENLMSG_DEFAULT_SIZE, atomic ? GFP_ATOMIC : GFP_KERNEL);
}

bool tcp_dispatch_netlink_is_admin(const struct sk_buff *skb)
{
	const struct net *net = sock_net(NETLINK_CB(skb).sk);

	return netlink_ns_capable(skb, net->user_ns, CAP_NET_ADMIN);
}

kuid_t tcp_dispatch_netlink_opener_euid(const struct sk_buff *skb)
{
	return NETLINK_CB(skb).sk->sk_socket->file->f_cred->euid;
}

int tcp_dispatch_genlmsg_reply(struct sk_buff *skb, struct genl_info *info)
{
	return genlmsg_reply(skb, info);
}

void tcp_dispatch_nlmsg_free(struct sk_buff *skb)
{
	nlmsg_free(skb);
}

struct net *tcp_dispatch_genl_info_net(const struct genl_info *info)
{
	return genl_info_net(info);
}

struct net *tcp_dispatch_dump_net(const struct netlink_callback *cb)
{
	return sock_net(cb->skb->sk);
}

const struct genl_info *tcp_dispatch_genl_info_dump(struct netlink_callback *cb)
{
	return genl_info_dump(cb);
}

void tcp_dispatch_genl_dump_check_consistent(struct netlink_callback *cb, void *hdr)
{
	genl_dump_check_consistent(cb, hdr);
}

bool tcp_dispatch_genl_has_listeners(struct net *net)
{
	return genl_has_listeners(&tcp_dispatch_family, net,
				  TCP_DISPATCH_NLGRP_EVENTS);
}

void tcp_dispatch_genl_multicast(struct net *net, struct sk_buff *skb, bool atomic)
{
	genlmsg_multicast_netns(&tcp_dispatch_family, net, skb, 0,
				TCP_DISPATCH_NLGRP_EVENTS,
				atomic ? GFP_ATOMIC : GFP_KERNEL);
}

void tcp_dispatch_genl_lost(struct net *net)
{
	genl_set_err(&tcp_dispatch_family, net, 0, TCP_DISPATCH_NLGRP_EVENTS,
		     -ENOBUFS);
}

int tcp_dispatch_genl_register(void)
{
	return genl_register_family(&tcp_dispatch_family);
}

void tcp_dispatch_genl_unregister(void)
{
	genl_unregister_family(&tcp_dispatch_family);
}

/* delayed work */

void tcp_dispatch_init_delayed_work(struct delayed_work *work, work_func_t func)
{
	INIT_DELAYED_WORK(work, func);
}

void tcp_dispatch_schedule_delayed_work(struct delayed_work *work,
					unsigned long delay)
{
	queue_delayed_work(system_dfl_wq, work, delay);
}

void tcp_dispatch_cond_resched(void)
{
	cond_resched();
}

void tcp_dispatch_expedite_delayed_work(struct delayed_work *work)
{
	mod_delayed_work(system_dfl_wq, work, 0);
}

/* processes of the kernel's */

struct pid *tcp_dispatch_get_current_tgid(void)
{
	return get_pid(task_tgid(current));
}

struct pid *tcp_dispatch_get_pid(struct pid *pid)
{
	return get_pid(pid);
}

struct pid *tcp_dispatch_get_pid_of_pidfd(const struct file *file)
{
	const struct inode *inode = file_inode(file);

	/* As pidfd_pid() has it, which knows the file's operations instead. */
	return inode->i_sb->s_magic == PID_FS_MAGIC ? get_pid(inode->i_private) : NULL;
}

bool tcp_dispatch_task_is_alive(struct task_struct *task)
{
	return !(READ_ONCE(task->signal->flags) & SIGNAL_GROUP_EXIT) &&
	       atomic_read(&task->signal->live);
}

kuid_t tcp_dispatch_task_euid(struct task_struct *task)
{
	return task_cred_xxx(task, euid);
}

void tcp_dispatch_init_wait_func(struct wait_queue_entry *entry,
				 wait_queue_func_t func)
{
	init_waitqueue_func_entry(entry, func);
}

/* users and groups */

kuid_t tcp_dispatch_make_kuid(const struct net *net, u32 uid)
{
	return make_kuid(net->user_ns, uid);
}

u32 tcp_dispatch_from_kuid(const struct net *net, kuid_t uid)
{
	return from_kuid_munged(net->user_ns, uid);
}

kgid_t tcp_dispatch_make_kgid(const struct net *net, u32 gid)
{
	return make_kgid(net->user_ns, gid);
}

u32 tcp_dispatch_from_kgid(const struct net *net, kgid_t gid)
{
	return from_kgid_munged(net->user_ns, gid);
}
