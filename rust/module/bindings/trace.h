/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: a connection is assigned to a process, and its entry has ended.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tcp_dispatch

#if !defined(_TCP_DISPATCH_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TCP_DISPATCH_TRACE_H

#include <linux/in.h>
#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(tcp_dispatch_connection,
	TP_PROTO(const struct sockaddr_in *client, const struct sockaddr_in *service,
		 const struct sockaddr_in *process),
	TP_ARGS(client, service, process),
	TP_STRUCT__entry(
		__field(__be32, client)
		__field(__be32, service)
		__field(__be32, process)
		__field(u16, client_port)
		__field(u16, service_port)
		__field(u16, process_port)
	),
	TP_fast_assign(
		__entry->client = client->sin_addr.s_addr;
		__entry->service = service->sin_addr.s_addr;
		__entry->process = process->sin_addr.s_addr;
		__entry->client_port = ntohs(client->sin_port);
		__entry->service_port = ntohs(service->sin_port);
		__entry->process_port = ntohs(process->sin_port);
	),
	TP_printk("client=%pI4:%u service=%pI4:%u process=%pI4:%u",
		  &__entry->client, __entry->client_port,
		  &__entry->service, __entry->service_port,
		  &__entry->process, __entry->process_port)
);

DEFINE_EVENT(tcp_dispatch_connection, tcp_dispatch_assign,
	TP_PROTO(const struct sockaddr_in *client, const struct sockaddr_in *service,
		 const struct sockaddr_in *process),
	TP_ARGS(client, service, process)
);

DEFINE_EVENT(tcp_dispatch_connection, tcp_dispatch_expire,
	TP_PROTO(const struct sockaddr_in *client, const struct sockaddr_in *service,
		 const struct sockaddr_in *process),
	TP_ARGS(client, service, process)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
