/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bindgen reads: the kernel's types and functions that the module needs
 * and the kernel crate doesn't bind. Kbuild holds the list of names.
 */

#include <linux/icmp.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jiffies.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/rhashtable.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/workqueue.h>
#include <net/dst.h>
#include <net/genetlink.h>
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/protocol.h>
#include <net/route.h>
#include <net/rtnetlink.h>
#include <net/tcp.h>
#include <uapi/linux/tcp_dispatch.h>

#include "helpers.h"

/* Macros that are no plain numbers to bindgen. */
#define TCP_DISPATCH_CONST(type, name) static const type TCP_DISPATCH_##name = name
TCP_DISPATCH_CONST(gfp_t, GFP_ATOMIC);
TCP_DISPATCH_CONST(gfp_t, GFP_KERNEL);
TCP_DISPATCH_CONST(netdev_features_t, NETIF_F_SG);
TCP_DISPATCH_CONST(netdev_features_t, NETIF_F_FRAGLIST);
TCP_DISPATCH_CONST(netdev_features_t, NETIF_F_HIGHDMA);
TCP_DISPATCH_CONST(netdev_features_t, NETIF_F_HW_CSUM);
TCP_DISPATCH_CONST(netdev_features_t, NETIF_F_GSO_SOFTWARE);
TCP_DISPATCH_CONST(netdev_features_t, NETIF_F_VLAN_CHALLENGED);
