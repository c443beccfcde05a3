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
 * round trip 140 instructions more.
 */

#include <linux/rhashtable.h>

#include "helpers.h"

struct two_words_node {
	struct rhash_head head;
	u32 key[2];
};

struct three_words_node {
	struct rhash_head head;
	u32 key[3];
};

static __always_inline int two_words_compare(struct rhashtable_compare_arg *arg,
					   const void *object)
{
	const u32 *a = arg->key, *b = ((const struct two_words_node *)object)->key;

	return (a[0] ^ b[0]) | (a[1] ^ b[1]);
}

static __always_inline int three_words_compare(struct rhashtable_compare_arg *arg,
					      const void *object)
{
	const u32 *a = arg->key, *b = ((const struct three_words_node *)object)->key;

	return (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]);
}

#define TCP_DISPATCH_TABLE(name, key_kind)						\
static const struct rhashtable_params name##_params = {			\
	.key_len		= sizeof_field(struct key_kind##_node, key),	\
	.key_offset		= offsetof(struct key_kind##_node, key),		\
	.head_offset		= offsetof(struct key_kind##_node, head),		\
	.automatic_shrinking	= true,						\
	.obj_cmpfn		= key_kind##_compare,				\
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

TCP_DISPATCH_TABLE(services, two_words)
TCP_DISPATCH_TABLE(affinities, three_words)
TCP_DISPATCH_TABLE(connections_by_client, three_words)
TCP_DISPATCH_TABLE(connections_by_process, three_words)
