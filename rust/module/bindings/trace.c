// SPDX-License-Identifier: GPL-2.0
/* See trace.h. */

#include <linux/module.h>

#include "helpers.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

void tcp_dispatch_trace_assigned(const struct sockaddr_in6 *client,
				 const struct sockaddr_in6 *service,
				 const struct sockaddr_in6 *process)
{
	trace_tcp_dispatch_assign(client, service, process);
}

void tcp_dispatch_trace_expired(const struct sockaddr_in6 *client,
				const struct sockaddr_in6 *service,
				const struct sockaddr_in6 *process)
{
	trace_tcp_dispatch_expire(client, service, process);
}
