// The text of a value where a value names something: an entity's key, an entry of a lookup index.
#pragma once

#include <string>

#include "storage/row_schema.h"
#include "storage/value.h"

namespace everstate::vm {

// Text as it is, integers decimal, keys and signatures base58, byte arrays lower-case hex, all else its JSON text.
// False (and nothing appended) for what names nothing: null, absent, and composites deeper than rows may hold or of a
// shape that the schema does not know, because their JSON text would be another value's.
bool AppendKeyText(const RowSchema& schema, const Value& value, std::string* out);

}  // namespace everstate::vm
