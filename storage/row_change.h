// Row changes: what one mutation did to a row, as bytes that are much shorter than a large row. The store writes a
// change where it can and folds changes into rows when it reads or compacts; nobody outside of the store sees one.
//
// Bytes of a change: varint slot, varint index of the row that it changes, the same of the row that it makes, then per
// changed field in the order of their ids: varint field * 2 (+ 1 when elements were appended), and
//   replaced: the encoded value
//   appended: varint count, varint bytes of the elements, the encoded elements
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/model.h"

namespace everstate {

// The encoded elements that a mutation appended: the end of the array in its row after. Empty when the field's counts
// in the rows before and after do not agree with `appended`.
std::optional<std::string_view> AppendedElements(const Mutation& mutation, const Appended& appended);

// Appends the change of a mutation that has a row before and one after.
void AppendRowChange(const Mutation& mutation, std::string* out);

// The bytes of the row that `changes`, applied one after the other, make of `row`; the same as those of the last
// mutation's row. A change that the row has in it already (it makes a cursor that is not above the row's) is passed
// over, so that folding one twice is folding it once.
//   Errors: DataLoss when the bytes are no row or no change, when a change is not of the row before it, or when it
//   appends to a field that is no array. What lies inside of a value is not looked at: Row::Parse judges it, before
//   anybody sees the row.
absl::StatusOr<std::string> FoldRowChanges(std::string_view row, std::span<const std::string_view> changes);

}  // namespace everstate
