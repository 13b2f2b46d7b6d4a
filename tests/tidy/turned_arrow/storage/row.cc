// The model may not see the store, and nobody may see another room's insides.
#include "server/base/base58.h"
#include "storage/entity_store.h"
