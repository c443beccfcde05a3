/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's static inline functions and macros that Rust can't call, each as
 * a function. Nothing else belongs here.
 */
#ifndef _TCP_DISPATCH_HELPERS_H
#define _TCP_DISPATCH_HELPERS_H

#include <linux/cred.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/jump_label.h>
#include <linux/pid.h>
#include <linux/rhashtable.h>
#include <linux/skbuff.h>
#include <linux/static_call.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include <net/protocol.h>
#include <net/route.h>

/* Memory of a size whose cache is known here. */
void *tcp_dispatch_kmalloc_atomic(size_t size);

/* sk_buff */
bool tcp_dispatch_pskb_may_pull(struct sk_buff *skb, unsigned int len);
struct sk_buff *tcp_dispatch_alloc_skb(unsigned int size);
void tcp_dispatch_skb_reserve(struct sk_buff *skb, int len);
void tcp_dispatch_skb_reset_network_header(struct sk_buff *skb);
void tcp_dispatch_skb_set_transport_header(struct sk_buff *skb, int offset);
void tcp_dispatch_skb_dst_set(struct sk_buff *skb, struct dst_entry *dst);
bool tcp_dispatch_skb_dst_replace(struct sk_buff *skb, struct dst_entry *dst);
void tcp_dispatch_kfree_skb(struct sk_buff *skb, enum skb_drop_reason reason);
void tcp_dispatch_skb_set_early_demux(struct sk_buff *skb, struct sock *sk);
void tcp_dispatch_skb_set_listener(struct sk_buff *skb, struct sock *sk);
void tcp_dispatch_skb_orphan(struct sk_buff *skb);
struct dst_entry *tcp_dispatch_skb_dst(const struct sk_buff *skb);
bool tcp_dispatch_dst_hold_input(struct dst_entry *dst);
void tcp_dispatch_skb_dst_set_noref(struct sk_buff *skb, struct dst_entry *dst);
int tcp_dispatch_ll_max_header(void);
bool tcp_dispatch_tcp_v4_checksum_is_right(struct sk_buff *skb);
bool tcp_dispatch_tcp_v6_checksum_is_right(struct sk_buff *skb);
/* Where the TCP header is, from data on, where the IPv6 header is; or negative. */
int tcp_dispatch_ipv6_find_tcp(const struct sk_buff *skb);
/* Goes on as ip6_xmit() does, by the route that the packet has now. */
void tcp_dispatch_ipv6_local_out(struct net *net, struct sock *sk, struct sk_buff *skb);

/* dst and routes */
struct dst_entry *tcp_dispatch_dst_check(struct dst_entry *dst, u32 cookie);
u32 tcp_dispatch_dst_cookie(const struct dst_entry *dst);
bool tcp_dispatch_netif_index_is_l3_master(struct net *net, int ifindex);
void tcp_dispatch_send_port_unreachable(struct sk_buff *skb);
bool tcp_dispatch_time_wait(const struct sock *sk, u32 *rcv_nxt, u32 *ts_recent);
void tcp_dispatch_dst_hold(struct dst_entry *dst);
bool tcp_dispatch_dst_is_local(const struct dst_entry *dst);
bool tcp_dispatch_dst_is_to_many(const struct dst_entry *dst);
u32 tcp_dispatch_dst_mtu(const struct dst_entry *dst);
u32 tcp_dispatch_dst_metric_advmss(struct dst_entry *dst);
/*
 * Whether IP routes a packet for this host by its destination alone, and takes it
 * from where a route leads. Stricter than IP: what is no is for IP to decide.
 */
bool tcp_dispatch_ipv4_routes_by_destination(const struct sk_buff *skb, struct net *net);
bool tcp_dispatch_ipv6_routes_by_destination(struct net *net);
bool tcp_dispatch_ipv4_accepts_source(const struct sk_buff *skb,
				      const struct dst_entry *way_back);

/* Whether IPv4 routes packets of TCP by their addresses, whatever their ports are. */
bool tcp_dispatch_ipv4_routes_by_addresses(const struct net *net);

bool tcp_dispatch_ipv4_route_input(struct sk_buff *skb);
bool tcp_dispatch_ipv6_route_input(struct sk_buff *skb);

/* net_protocol: TCP's function is called as if it were an exported one. */
int tcp_dispatch_receive(struct sk_buff *skb);
DECLARE_STATIC_CALL(tcp_dispatch_ipv4_tcp, tcp_dispatch_receive);
DECLARE_STATIC_CALL(tcp_dispatch_ipv6_tcp, tcp_dispatch_receive);
void tcp_dispatch_ipv4_set_tcp(int (*receive)(struct sk_buff *skb));
void tcp_dispatch_ipv6_set_tcp(int (*receive)(struct sk_buff *skb));

const struct net_protocol *tcp_dispatch_inet_protos_tcp(void);
bool tcp_dispatch_inet_protos_cmpxchg(const struct net_protocol *from,
				      const struct net_protocol *to);

struct inet6_protocol *tcp_dispatch_inet6_protos_tcp(void);
bool tcp_dispatch_inet6_protos_cmpxchg(const struct inet6_protocol *from,
				       const struct inet6_protocol *to);

/* l3_rx_handler: what packets branch on that hardly ever changes. */
extern struct tcp_dispatch_static_keys {
	struct static_key_false misses_devices;
	struct static_key_false checks_sources;
} tcp_dispatch_static_keys;
void tcp_dispatch_set_misses_devices(bool misses);
void tcp_dispatch_check_sources(void);

/* per-CPU data: an array of u64 */
u64 __percpu *tcp_dispatch_alloc_percpu_u64(unsigned int n, bool atomic);
void tcp_dispatch_this_cpu_add(u64 __percpu *counters, unsigned int i, u64 n);
void tcp_dispatch_this_cpu_add_one_and(u64 __percpu *one, u64 __percpu *other,
				       unsigned int i, u64 n);
u64 tcp_dispatch_percpu_sum(u64 __percpu *counters, unsigned int i);

/* net_device: bit fields, and what goes with them */
void tcp_dispatch_netdev_set_virtual(struct net_device *dev);
void tcp_dispatch_netdev_set_l3_slave(struct net_device *dev, bool slave);
bool tcp_dispatch_netif_is_l3_slave(const struct net_device *dev);
struct net_device *tcp_dispatch_netdev_first_lower(struct net_device *dev);
void tcp_dispatch_netdev_tx_dropped(struct net_device *dev);
struct net_device *tcp_dispatch_notified_netdev(void *info);
bool tcp_dispatch_netdev_takes_l3_rx_handler(const struct net_device *dev);
bool tcp_dispatch_netdev_asks_l3_rx_handler(const struct net_device *dev);
void tcp_dispatch_netdev_set_l3_rx_handler(struct net_device *dev, bool set);
/* Of a namespace, or of all for NULL. With RTNL held. */
void tcp_dispatch_for_each_netdev(struct net *net,
				  void (*visit)(struct net_device *dev, void *context),
				  void *context);

/* sockets */
int tcp_dispatch_sk_state(const struct sock *sk);
/*
 * With lockdep, bindgen loses a member of socket_lock_t, and with it the offsets
 * of what stands behind a socket's lock.
 */
u32 tcp_dispatch_sk_ack_backlog(const struct sock *sk);
u32 tcp_dispatch_sk_max_ack_backlog(const struct sock *sk);
int tcp_dispatch_sk_bound_dev_if(const struct sock *sk);
kuid_t tcp_dispatch_sk_uid(const struct sock *sk);

/* netlink */
int tcp_dispatch_nla_parse_socket_address(struct nlattr *tb[],
					  const struct nlattr *nla,
					  struct netlink_ext_ack *extack);
u32 tcp_dispatch_netlink_portid(const struct netlink_callback *cb);
struct nlattr *tcp_dispatch_nla_nest_start(struct sk_buff *skb, int attrtype);
void tcp_dispatch_nla_nest_end(struct sk_buff *skb, struct nlattr *start);
void *tcp_dispatch_genlmsg_put(struct sk_buff *skb, u32 portid, u32 seq,
			       int flags, u8 cmd);
void *tcp_dispatch_genlmsg_iput(struct sk_buff *skb, const struct genl_info *info);
void tcp_dispatch_genlmsg_end(struct sk_buff *skb, void *hdr);
void tcp_dispatch_genlmsg_cancel(struct sk_buff *skb, void *hdr);
struct sk_buff *tcp_dispatch_genlmsg_new(bool atomic);
bool tcp_dispatch_netlink_is_admin(const struct sk_buff *skb);
kuid_t tcp_dispatch_netlink_opener_euid(const struct sk_buff *skb);
bool tcp_dispatch_genl_has_listeners(struct net *net);
void tcp_dispatch_genl_multicast(struct net *net, struct sk_buff *skb, bool atomic);
void tcp_dispatch_genl_lost(struct net *net);
int tcp_dispatch_genlmsg_reply(struct sk_buff *skb, struct genl_info *info);
void tcp_dispatch_nlmsg_free(struct sk_buff *skb);
struct net *tcp_dispatch_genl_info_net(const struct genl_info *info);
struct net *tcp_dispatch_dump_net(const struct netlink_callback *cb);
const struct genl_info *tcp_dispatch_genl_info_dump(struct netlink_callback *cb);
void tcp_dispatch_genl_dump_check_consistent(struct netlink_callback *cb, void *hdr);
int tcp_dispatch_genl_register(void);
void tcp_dispatch_genl_unregister(void);

/* delayed work */
void tcp_dispatch_init_delayed_work(struct delayed_work *work, work_func_t func);
void tcp_dispatch_schedule_delayed_work(struct delayed_work *work,
					unsigned long delay);
void tcp_dispatch_expedite_delayed_work(struct delayed_work *work);
void tcp_dispatch_cond_resched(void);

/* processes of the kernel's */
struct pid *tcp_dispatch_get_current_tgid(void);
struct pid *tcp_dispatch_get_pid(struct pid *pid);
struct pid *tcp_dispatch_get_pid_of_pidfd(const struct file *file);
bool tcp_dispatch_task_is_alive(struct task_struct *task);
kuid_t tcp_dispatch_task_euid(struct task_struct *task);
void tcp_dispatch_init_wait_func(struct wait_queue_entry *entry,
				 wait_queue_func_t func);

/* tracepoints */
void tcp_dispatch_trace_assigned(const struct sockaddr_in6 *client,
				 const struct sockaddr_in6 *service,
				 const struct sockaddr_in6 *process);
void tcp_dispatch_trace_expired(const struct sockaddr_in6 *client,
				const struct sockaddr_in6 *service,
				const struct sockaddr_in6 *process);

/* users and groups */
kuid_t tcp_dispatch_make_kuid(const struct net *net, u32 uid);
u32 tcp_dispatch_from_kuid(const struct net *net, kuid_t uid);
kgid_t tcp_dispatch_make_kgid(const struct net *net, u32 gid);
u32 tcp_dispatch_from_kgid(const struct net *net, kgid_t gid);

/* The hashes of the tables' keys, by Rust. */
u32 tcp_dispatch_hash_service(const void *key, u32 len, u32 seed);
u32 tcp_dispatch_hash_affinity(const void *key, u32 len, u32 seed);
u32 tcp_dispatch_hash_ipv4_tuple(const void *key, u32 len, u32 seed);
u32 tcp_dispatch_hash_ipv6_tuple(const void *key, u32 len, u32 seed);

/*
 * The hash tables. A table's parameters must be constant where its
 * functions are inlined, so each gets functions of its own.
 */
#define TCP_DISPATCH_TABLE_FUNCTIONS(name)					\
int tcp_dispatch_##name##_init(struct rhashtable *table);			\
int tcp_dispatch_##name##_insert(struct rhashtable *table,			\
				 struct rhash_head *node);			\
int tcp_dispatch_##name##_remove(struct rhashtable *table,			\
				 struct rhash_head *node);

TCP_DISPATCH_TABLE_FUNCTIONS(services)
TCP_DISPATCH_TABLE_FUNCTIONS(affinities)
TCP_DISPATCH_TABLE_FUNCTIONS(ipv4_connections_by_client)
TCP_DISPATCH_TABLE_FUNCTIONS(ipv4_connections_by_process)
TCP_DISPATCH_TABLE_FUNCTIONS(ipv6_connections_by_client)
TCP_DISPATCH_TABLE_FUNCTIONS(ipv6_connections_by_process)

#endif
