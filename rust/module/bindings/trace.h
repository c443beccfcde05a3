/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: a connection is assigned to a process, and its entry has ended.
 * Addresses are of either family; one of IPv4 is a struct sockaddr_in in the
 * place of the larger one.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tcp_dispatch

#if !defined(_TCP_DISPATCH_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TCP_DISPATCH_TRACE_H

#include <linux/in6.h>
#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(tcp_dispatch_connection,
	TP_PROTO(const struct sockaddr_in6 *client, const struct sockaddr_in6 *service,
		 const struct sockaddr_in6 *process),
	TP_ARGS(client, service, process),
	TP_STRUCT__entry(
		__array(__u8, client, sizeof(struct sockaddr_in6))
		__array(__u8, service, sizeof(struct sockaddr_in6))
		__array(__u8, process, sizeof(struct sockaddr_in6))
	),
	TP_fast_assign(
		memcpy(__entry->client, client, sizeof(*client));
		memcpy(__entry->service, service, sizeof(*service));
		memcpy(__entry->process, process, sizeof(*process));
	),
	TP_printk("client=%pISpc service=%pISpc process=%pISpc",
		  __entry->client, __entry->service, __entry->process)
);

DEFINE_EVENT(tcp_dispatch_connection, tcp_dispatch_assign,
	TP_PROTO(const struct sockaddr_in6 *client, const struct sockaddr_in6 *service,
		 const struct sockaddr_in6 *process),
	TP_ARGS(client, service, process)
);

DEFINE_EVENT(tcp_dispatch_connection, tcp_dispatch_expire,
	TP_PROTO(const struct sockaddr_in6 *client, const struct sockaddr_in6 *service,
		 const struct sockaddr_in6 *process),
	TP_ARGS(client, service, process)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
