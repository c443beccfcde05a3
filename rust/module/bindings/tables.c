// SPDX-License-Identifier: GPL-2.0
/*
 * The hash tables' parameters and the inline functions of linux/rhashtable.h
 * that depend on them. The tables themselves belong to Rust, see
 * wrappers/rhashtable.rs.
 *
 * Every node is a struct rhash_head with the key right behind it. The hashes are
 * Rust's, rust/core/src/hash.rs, and so is the look-up, which every packet does.
 */

#include <linux/rhashtable.h>
#include <linux/unroll.h>

#include "helpers.h"

/* A node with a key of so many words, and how it is compared. */
#define TCP_DISPATCH_NODE(words)						\
struct node_of_##words {							\
	struct rhash_head head;							\
	u32 key[words];								\
};										\
										\
static __always_inline int compare_##words(struct rhashtable_compare_arg *arg,	\
					   const void *object)			\
{										\
	const u32 *a = arg->key, *b = ((const struct node_of_##words *)object)->key; \
	u32 difference = 0;							\
	int i;									\
										\
	unrolled_count(words)							\
	for (i = 0; i < words; i++)						\
		difference |= a[i] ^ b[i];					\
	return difference;							\
}

TCP_DISPATCH_NODE(3)
TCP_DISPATCH_NODE(5)
TCP_DISPATCH_NODE(6)
TCP_DISPATCH_NODE(9)

#define TCP_DISPATCH_TABLE(name, words, key_hash)				\
static const struct rhashtable_params name##_params = {			\
	.key_len		= sizeof_field(struct node_of_##words, key),	\
	.key_offset		= offsetof(struct node_of_##words, key),		\
	.head_offset		= offsetof(struct node_of_##words, head),		\
	.automatic_shrinking	= true,						\
	.hashfn			= key_hash,					\
	.obj_cmpfn		= compare_##words,				\
};										\
										\
int tcp_dispatch_##name##_init(struct rhashtable *table)			\
{										\
	return rhashtable_init(table, &name##_params);				\
}										\
										\
int tcp_dispatch_##name##_insert(struct rhashtable *table,			\
				 struct rhash_head *node)			\
{										\
	return rhashtable_lookup_insert_fast(table, node, name##_params);	\
}										\
										\
int tcp_dispatch_##name##_remove(struct rhashtable *table,			\
				 struct rhash_head *node)			\
{										\
	return rhashtable_remove_fast(table, node, name##_params);		\
}

TCP_DISPATCH_TABLE(services, 5, tcp_dispatch_hash_service)
TCP_DISPATCH_TABLE(affinities, 6, tcp_dispatch_hash_affinity)
TCP_DISPATCH_TABLE(ipv4_connections_by_client, 3, tcp_dispatch_hash_ipv4_tuple)
TCP_DISPATCH_TABLE(ipv4_connections_by_process, 3, tcp_dispatch_hash_ipv4_tuple)
TCP_DISPATCH_TABLE(ipv6_connections_by_client, 9, tcp_dispatch_hash_ipv6_tuple)
TCP_DISPATCH_TABLE(ipv6_connections_by_process, 9, tcp_dispatch_hash_ipv6_tuple)
