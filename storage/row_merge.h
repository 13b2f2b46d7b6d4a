// What clients make of a patch, and what a patch therefore cannot say.
#pragma once

#include "storage/model.h"
#include "storage/row_schema.h"

namespace everstate {

// Clients merge a patch into what they hold: objects key by key at every depth, arrays and everything else as a whole.
// So a patch cannot say that a key is gone. True when the mutation takes away an emitted field, or a key of an object
// in one: then only the whole entity makes clients hold what the row holds.
bool TakesKeysAway(const RowSchema& schema, const EntitySchema& entity, const Mutation& mutation);

}  // namespace everstate
