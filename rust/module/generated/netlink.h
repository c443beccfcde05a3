/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/tcp_dispatch.yaml */
/* YNL-GEN kernel header */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#ifndef _LINUX_TCP_DISPATCH_GEN_H
#define _LINUX_TCP_DISPATCH_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/tcp_dispatch.h>

/* Common nested types */
extern const struct nla_policy tcp_dispatch_socket_address_nl_policy[TCP_DISPATCH_A_SOCKET_ADDRESS_IPV6 + 1];

/* Ops table for tcp_dispatch */
extern const struct genl_split_ops tcp_dispatch_nl_ops[16];

int tcp_dispatch_nl_connection_get_start(struct netlink_callback *cb);
int tcp_dispatch_nl_connection_get_done(struct netlink_callback *cb);

int tcp_dispatch_nl_service_add_doit(struct sk_buff *skb,
				     struct genl_info *info);
int tcp_dispatch_nl_service_del_doit(struct sk_buff *skb,
				     struct genl_info *info);
int tcp_dispatch_nl_service_get_doit(struct sk_buff *skb,
				     struct genl_info *info);
int tcp_dispatch_nl_service_get_dumpit(struct sk_buff *skb,
				       struct netlink_callback *cb);
int tcp_dispatch_nl_process_add_doit(struct sk_buff *skb,
				     struct genl_info *info);
int tcp_dispatch_nl_process_del_doit(struct sk_buff *skb,
				     struct genl_info *info);
int tcp_dispatch_nl_process_get_doit(struct sk_buff *skb,
				     struct genl_info *info);
int tcp_dispatch_nl_process_get_dumpit(struct sk_buff *skb,
				       struct netlink_callback *cb);
int tcp_dispatch_nl_connection_add_doit(struct sk_buff *skb,
					struct genl_info *info);
int tcp_dispatch_nl_connection_del_doit(struct sk_buff *skb,
					struct genl_info *info);
int tcp_dispatch_nl_connection_get_doit(struct sk_buff *skb,
					struct genl_info *info);
int tcp_dispatch_nl_connection_get_dumpit(struct sk_buff *skb,
					  struct netlink_callback *cb);
int tcp_dispatch_nl_net_get_doit(struct sk_buff *skb, struct genl_info *info);
int tcp_dispatch_nl_net_set_doit(struct sk_buff *skb, struct genl_info *info);
int tcp_dispatch_nl_service_set_doit(struct sk_buff *skb,
				     struct genl_info *info);
int tcp_dispatch_nl_process_set_doit(struct sk_buff *skb,
				     struct genl_info *info);

enum {
	TCP_DISPATCH_NLGRP_EVENTS,
};

#endif /* _LINUX_TCP_DISPATCH_GEN_H */
