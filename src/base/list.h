/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive doubly linked list. A head is a node that is linked to itself. */
#pragma once

#include "base/macro.h"

struct list {
    struct list *prev;
    struct list *next;
};

static inline void list_init(struct list *head)
{
    head->prev = head;
    head->next = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Unlinks; the node is left linked to itself, so that a second removal is harmless. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#define list_item(node, type, member) container_of(node, type, member)
#define list_for_each(node, head) for (struct list *node = (head)->next; node != (head); node = node->next)
/* The current node may be removed. */
#define list_for_each_safe(node, head)                                                          \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head);           \
         node = node##_next, node##_next = node->next)
