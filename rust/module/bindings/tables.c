// SPDX-License-Identifier: GPL-2.0
/*
 * The hash tables' parameters and the inline functions of linux/rhashtable.h
 * that depend on them. The tables themselves belong to Rust, see
 * wrappers/rhashtable.rs.
 *
 * Every node is a struct rhash_head with the key right behind it. The hash is
 * the table's own, jhash2() under a random seed, as TCP's tables have it: a
 * client who chooses its addresses and ports can't choose its bucket, and the
 * table draws a new seed when a chain grows too long. A SipHash would cost a
 * round trip 140 instructions more. Services have one of their own.
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

/*
 * No client chooses a service's address. Of IPv4's the last two words say all:
 * what mixes them, and adds up the rest, is enough.
 */
static inline u32 hash_service(const void *data, u32 len, u32 seed)
{
	const u32 *key = data;

	return jhash_3words(key[0] ^ key[1] * 31 ^ key[2] * 961, key[3], key[4], seed);
}

#define TCP_DISPATCH_TABLE(name, words, hash)					\
static const struct rhashtable_params name##_params = {			\
	.key_len		= sizeof_field(struct node_of_##words, key),	\
	.key_offset		= offsetof(struct node_of_##words, key),		\
	.head_offset		= offsetof(struct node_of_##words, head),		\
	.automatic_shrinking	= true,						\
	.hashfn			= hash,						\
	.obj_cmpfn		= compare_##words,				\
};										\
										\
int tcp_dispatch_##name##_init(struct rhashtable *table)			\
{										\
	return rhashtable_init(table, &name##_params);				\
}										\
										\
struct rhash_head *tcp_dispatch_##name##_lookup(struct rhashtable *table,	\
						const void *key)		\
{										\
	return rhashtable_lookup(table, key, name##_params);			\
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

TCP_DISPATCH_TABLE(services, 5, hash_service)
TCP_DISPATCH_TABLE(affinities, 6, NULL)
TCP_DISPATCH_TABLE(ipv4_connections_by_client, 3, NULL)
TCP_DISPATCH_TABLE(ipv4_connections_by_process, 3, NULL)
TCP_DISPATCH_TABLE(ipv6_connections_by_client, 9, NULL)
TCP_DISPATCH_TABLE(ipv6_connections_by_process, 9, NULL)
