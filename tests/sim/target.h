/*
 * What a step of the world is about, and the steps that take more than one name.
 */
#pragma once

#include "sim.h"

/* What a step is about. */
struct target {
	struct spot dir; /* of the path, as the world sees it; empty: there is none */
	char directory[NAME_BYTES], parent[NAME_BYTES];
	const char *linked, *bound; /* other directories for it to lead to */
	const char *dir_name, *name;
	struct entry *entry; /* at the path; NULL: free */
};

/* Pick a path. Return: whether its directory is there. */
bool target_aim(struct target *t);
/* The same; whether something stands at the path. */
bool target_entry(struct target *t);
/* A name that was never used before; valid until the next one. */
const char *target_new_name(const char *kind);
/* rm -rf: what cannot be removed (a mount point, say) is left. */
void target_remove_tree(struct spot dir, const char *name, unsigned depth);

void adversary_unlink_anchor(void);
void adversary_move_anchor_out(void);
void adversary_remove_directory(void);
void adversary_remove_anchors(void);
void adversary_move_directory(void);
void adversary_move_directory_back(void);
void adversary_change_directory_rights(void);
void adversary_mount_over(void);
void adversary_mount_over_path(void);
void adversary_unmount(void);
void adversary_change_mount(void);
void adversary_forge_anchors(void);
