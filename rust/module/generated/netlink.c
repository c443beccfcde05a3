// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/tcp_dispatch.yaml */
/* YNL-GEN kernel source */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink.h"

#include <uapi/linux/tcp_dispatch.h>

/* Integer value ranges */
static const struct netlink_range_validation tcp_dispatch_a_service_affinity_timeout_range = {
	.max	= TCP_DISPATCH_AFFINITY_TIMEOUT_MAX,
};

static const struct netlink_range_validation tcp_dispatch_a_process_weight_range = {
	.max	= TCP_DISPATCH_WEIGHT_MAX,
};

static const struct netlink_range_validation tcp_dispatch_a_process_pid_range = {
	.max	= S32_MAX,
};

static const struct netlink_range_validation tcp_dispatch_a_process_pidfd_range = {
	.max	= S32_MAX,
};

/* Common nested types */
const struct nla_policy tcp_dispatch_socket_address_nl_policy[TCP_DISPATCH_A_SOCKET_ADDRESS_IPV6 + 1] = {
	[TCP_DISPATCH_A_SOCKET_ADDRESS_IPV4] = NLA_POLICY_MIN(NLA_BE32, 1),
	[TCP_DISPATCH_A_SOCKET_ADDRESS_PORT] = NLA_POLICY_MIN(NLA_BE16, 1),
	[TCP_DISPATCH_A_SOCKET_ADDRESS_IPV6] = NLA_POLICY_EXACT_LEN(16),
};

/* TCP_DISPATCH_CMD_SERVICE_ADD - do */
static const struct nla_policy tcp_dispatch_service_add_nl_policy[TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX_IPV6 + 1] = {
	[TCP_DISPATCH_A_SERVICE_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_SERVICE_SCHEDULER] = NLA_POLICY_MAX(NLA_U32, 7),
	[TCP_DISPATCH_A_SERVICE_REFUSAL] = NLA_POLICY_MAX(NLA_U32, 2),
	[TCP_DISPATCH_A_SERVICE_AFFINITY_TIMEOUT] = NLA_POLICY_FULL_RANGE(NLA_U32, &tcp_dispatch_a_service_affinity_timeout_range),
	[TCP_DISPATCH_A_SERVICE_AFFINITY_PREFIX_LEN] = NLA_POLICY_MAX(NLA_U8, 128),
	[TCP_DISPATCH_A_SERVICE_REGISTRANT_UID] = { .type = NLA_U32, },
	[TCP_DISPATCH_A_SERVICE_REGISTRANT_GID] = { .type = NLA_U32, },
	[TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX] = { .type = NLA_BE32, },
	[TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX_LEN] = NLA_POLICY_MAX(NLA_U8, 128),
	[TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX_IPV6] = NLA_POLICY_EXACT_LEN(16),
};

/* TCP_DISPATCH_CMD_SERVICE_DEL - do */
static const struct nla_policy tcp_dispatch_service_del_nl_policy[TCP_DISPATCH_A_SERVICE_SERVICE_ADDRESS + 1] = {
	[TCP_DISPATCH_A_SERVICE_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
};

/* TCP_DISPATCH_CMD_SERVICE_GET - do */
static const struct nla_policy tcp_dispatch_service_get_nl_policy[TCP_DISPATCH_A_SERVICE_SERVICE_ADDRESS + 1] = {
	[TCP_DISPATCH_A_SERVICE_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
};

/* TCP_DISPATCH_CMD_PROCESS_ADD - do */
static const struct nla_policy tcp_dispatch_process_add_nl_policy[TCP_DISPATCH_A_PROCESS_PIDFD + 1] = {
	[TCP_DISPATCH_A_PROCESS_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_PROCESS_PROCESS_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_PROCESS_WEIGHT] = NLA_POLICY_FULL_RANGE(NLA_U32, &tcp_dispatch_a_process_weight_range),
	[TCP_DISPATCH_A_PROCESS_STATE] = NLA_POLICY_MAX(NLA_U32, 2),
	[TCP_DISPATCH_A_PROCESS_CPUS] = { .type = NLA_NUL_STRING, .len = TCP_DISPATCH_CPUS_LEN, },
	[TCP_DISPATCH_A_PROCESS_OWNER] = NLA_POLICY_MAX(NLA_U32, 2),
	[TCP_DISPATCH_A_PROCESS_PID] = NLA_POLICY_FULL_RANGE(NLA_U32, &tcp_dispatch_a_process_pid_range),
	[TCP_DISPATCH_A_PROCESS_PIDFD] = NLA_POLICY_FULL_RANGE(NLA_U32, &tcp_dispatch_a_process_pidfd_range),
};

/* TCP_DISPATCH_CMD_PROCESS_DEL - do */
static const struct nla_policy tcp_dispatch_process_del_nl_policy[TCP_DISPATCH_A_PROCESS_PROCESS_ADDRESS + 1] = {
	[TCP_DISPATCH_A_PROCESS_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_PROCESS_PROCESS_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
};

/* TCP_DISPATCH_CMD_PROCESS_GET - do */
static const struct nla_policy tcp_dispatch_process_get_do_nl_policy[TCP_DISPATCH_A_PROCESS_PROCESS_ADDRESS + 1] = {
	[TCP_DISPATCH_A_PROCESS_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_PROCESS_PROCESS_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
};

/* TCP_DISPATCH_CMD_PROCESS_GET - dump */
static const struct nla_policy tcp_dispatch_process_get_dump_nl_policy[TCP_DISPATCH_A_PROCESS_SERVICE_ADDRESS + 1] = {
	[TCP_DISPATCH_A_PROCESS_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
};

/* TCP_DISPATCH_CMD_CONNECTION_ADD - do */
static const struct nla_policy tcp_dispatch_connection_add_nl_policy[TCP_DISPATCH_A_CONNECTION_PROCESS_ADDRESS + 1] = {
	[TCP_DISPATCH_A_CONNECTION_CLIENT_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_CONNECTION_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_CONNECTION_PROCESS_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
};

/* TCP_DISPATCH_CMD_CONNECTION_DEL - do */
static const struct nla_policy tcp_dispatch_connection_del_nl_policy[TCP_DISPATCH_A_CONNECTION_SERVICE_ADDRESS + 1] = {
	[TCP_DISPATCH_A_CONNECTION_CLIENT_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_CONNECTION_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
};

/* TCP_DISPATCH_CMD_CONNECTION_GET - do */
static const struct nla_policy tcp_dispatch_connection_get_do_nl_policy[TCP_DISPATCH_A_CONNECTION_PROCESS_ADDRESS + 1] = {
	[TCP_DISPATCH_A_CONNECTION_CLIENT_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_CONNECTION_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_CONNECTION_PROCESS_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
};

/* TCP_DISPATCH_CMD_CONNECTION_GET - dump */
static const struct nla_policy tcp_dispatch_connection_get_dump_nl_policy[TCP_DISPATCH_A_CONNECTION_CLIENT_PREFIX_IPV6 + 1] = {
	[TCP_DISPATCH_A_CONNECTION_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_CONNECTION_PROCESS_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_CONNECTION_STATE] = NLA_POLICY_MAX(NLA_U32, 12),
	[TCP_DISPATCH_A_CONNECTION_CLIENT_PREFIX] = { .type = NLA_BE32, },
	[TCP_DISPATCH_A_CONNECTION_CLIENT_PREFIX_LEN] = NLA_POLICY_MAX(NLA_U8, 128),
	[TCP_DISPATCH_A_CONNECTION_CLIENT_PREFIX_IPV6] = NLA_POLICY_EXACT_LEN(16),
};

/* TCP_DISPATCH_CMD_NET_SET - do */
static const struct nla_policy tcp_dispatch_net_set_nl_policy[TCP_DISPATCH_A_NET_PROCESS_PREFIX_IPV6_LEN + 1] = {
	[TCP_DISPATCH_A_NET_PROCESS_PREFIX] = NLA_POLICY_MIN(NLA_BE32, 1),
	[TCP_DISPATCH_A_NET_PROCESS_PREFIX_LEN] = NLA_POLICY_MAX(NLA_U8, 32),
	[TCP_DISPATCH_A_NET_MAX_CONNECTIONS] = NLA_POLICY_MIN(NLA_U32, 1),
	[TCP_DISPATCH_A_NET_PROCESS_PREFIX_IPV6] = NLA_POLICY_EXACT_LEN(16),
	[TCP_DISPATCH_A_NET_PROCESS_PREFIX_IPV6_LEN] = NLA_POLICY_MAX(NLA_U8, 128),
};

/* TCP_DISPATCH_CMD_SERVICE_SET - do */
static const struct nla_policy tcp_dispatch_service_set_nl_policy[TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX_IPV6 + 1] = {
	[TCP_DISPATCH_A_SERVICE_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_SERVICE_SCHEDULER] = NLA_POLICY_MAX(NLA_U32, 7),
	[TCP_DISPATCH_A_SERVICE_REFUSAL] = NLA_POLICY_MAX(NLA_U32, 2),
	[TCP_DISPATCH_A_SERVICE_AFFINITY_TIMEOUT] = NLA_POLICY_FULL_RANGE(NLA_U32, &tcp_dispatch_a_service_affinity_timeout_range),
	[TCP_DISPATCH_A_SERVICE_AFFINITY_PREFIX_LEN] = NLA_POLICY_MAX(NLA_U8, 128),
	[TCP_DISPATCH_A_SERVICE_REGISTRANT_UID] = { .type = NLA_U32, },
	[TCP_DISPATCH_A_SERVICE_REGISTRANT_GID] = { .type = NLA_U32, },
	[TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX] = { .type = NLA_BE32, },
	[TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX_LEN] = NLA_POLICY_MAX(NLA_U8, 128),
	[TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX_IPV6] = NLA_POLICY_EXACT_LEN(16),
};

/* TCP_DISPATCH_CMD_PROCESS_SET - do */
static const struct nla_policy tcp_dispatch_process_set_nl_policy[TCP_DISPATCH_A_PROCESS_CPUS + 1] = {
	[TCP_DISPATCH_A_PROCESS_SERVICE_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_PROCESS_PROCESS_ADDRESS] = NLA_POLICY_NESTED(tcp_dispatch_socket_address_nl_policy),
	[TCP_DISPATCH_A_PROCESS_WEIGHT] = NLA_POLICY_FULL_RANGE(NLA_U32, &tcp_dispatch_a_process_weight_range),
	[TCP_DISPATCH_A_PROCESS_STATE] = NLA_POLICY_MAX(NLA_U32, 2),
	[TCP_DISPATCH_A_PROCESS_DRAIN_TIMEOUT] = NLA_POLICY_MIN(NLA_U32, 1),
	[TCP_DISPATCH_A_PROCESS_CPUS] = { .type = NLA_NUL_STRING, .len = TCP_DISPATCH_CPUS_LEN, },
};

/* Ops table for tcp_dispatch */
const struct genl_split_ops tcp_dispatch_nl_ops[16] = {
	{
		.cmd		= TCP_DISPATCH_CMD_SERVICE_ADD,
		.doit		= tcp_dispatch_nl_service_add_doit,
		.policy		= tcp_dispatch_service_add_nl_policy,
		.maxattr	= TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX_IPV6,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_SERVICE_DEL,
		.doit		= tcp_dispatch_nl_service_del_doit,
		.policy		= tcp_dispatch_service_del_nl_policy,
		.maxattr	= TCP_DISPATCH_A_SERVICE_SERVICE_ADDRESS,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_SERVICE_GET,
		.doit		= tcp_dispatch_nl_service_get_doit,
		.policy		= tcp_dispatch_service_get_nl_policy,
		.maxattr	= TCP_DISPATCH_A_SERVICE_SERVICE_ADDRESS,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= TCP_DISPATCH_CMD_SERVICE_GET,
		.dumpit	= tcp_dispatch_nl_service_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_PROCESS_ADD,
		.doit		= tcp_dispatch_nl_process_add_doit,
		.policy		= tcp_dispatch_process_add_nl_policy,
		.maxattr	= TCP_DISPATCH_A_PROCESS_PIDFD,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_PROCESS_DEL,
		.doit		= tcp_dispatch_nl_process_del_doit,
		.policy		= tcp_dispatch_process_del_nl_policy,
		.maxattr	= TCP_DISPATCH_A_PROCESS_PROCESS_ADDRESS,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_PROCESS_GET,
		.doit		= tcp_dispatch_nl_process_get_doit,
		.policy		= tcp_dispatch_process_get_do_nl_policy,
		.maxattr	= TCP_DISPATCH_A_PROCESS_PROCESS_ADDRESS,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_PROCESS_GET,
		.dumpit		= tcp_dispatch_nl_process_get_dumpit,
		.policy		= tcp_dispatch_process_get_dump_nl_policy,
		.maxattr	= TCP_DISPATCH_A_PROCESS_SERVICE_ADDRESS,
		.flags		= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_CONNECTION_ADD,
		.doit		= tcp_dispatch_nl_connection_add_doit,
		.policy		= tcp_dispatch_connection_add_nl_policy,
		.maxattr	= TCP_DISPATCH_A_CONNECTION_PROCESS_ADDRESS,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_CONNECTION_DEL,
		.doit		= tcp_dispatch_nl_connection_del_doit,
		.policy		= tcp_dispatch_connection_del_nl_policy,
		.maxattr	= TCP_DISPATCH_A_CONNECTION_SERVICE_ADDRESS,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_CONNECTION_GET,
		.doit		= tcp_dispatch_nl_connection_get_doit,
		.policy		= tcp_dispatch_connection_get_do_nl_policy,
		.maxattr	= TCP_DISPATCH_A_CONNECTION_PROCESS_ADDRESS,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_CONNECTION_GET,
		.start		= tcp_dispatch_nl_connection_get_start,
		.dumpit		= tcp_dispatch_nl_connection_get_dumpit,
		.done		= tcp_dispatch_nl_connection_get_done,
		.policy		= tcp_dispatch_connection_get_dump_nl_policy,
		.maxattr	= TCP_DISPATCH_A_CONNECTION_CLIENT_PREFIX_IPV6,
		.flags		= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd	= TCP_DISPATCH_CMD_NET_GET,
		.doit	= tcp_dispatch_nl_net_get_doit,
		.flags	= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_NET_SET,
		.doit		= tcp_dispatch_nl_net_set_doit,
		.policy		= tcp_dispatch_net_set_nl_policy,
		.maxattr	= TCP_DISPATCH_A_NET_PROCESS_PREFIX_IPV6_LEN,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_SERVICE_SET,
		.doit		= tcp_dispatch_nl_service_set_doit,
		.policy		= tcp_dispatch_service_set_nl_policy,
		.maxattr	= TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX_IPV6,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= TCP_DISPATCH_CMD_PROCESS_SET,
		.doit		= tcp_dispatch_nl_process_set_doit,
		.policy		= tcp_dispatch_process_set_nl_policy,
		.maxattr	= TCP_DISPATCH_A_PROCESS_CPUS,
		.flags		= GENL_CMD_CAP_DO,
	},
};

static const struct genl_multicast_group tcp_dispatch_nl_mcgrps[] = {
	[TCP_DISPATCH_NLGRP_EVENTS] = { "events", },
};
