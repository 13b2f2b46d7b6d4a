#include "storage/row_change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "storage/row.h"
#include "tests/storage/value_gen.h"

namespace everstate {
namespace {

using testing::HasSubstr;

constexpr size_t kFields = 20;

Mutation MutationOf(const RowRef& before, RowEditor::Built built) {
  Mutation mutation;
  mutation.key = "a";
  mutation.cursor = built.after->cursor();
  mutation.before = before;
  mutation.after = std::move(built.after);
  mutation.changed = built.changed;
  mutation.appended = std::move(built.appended);
  return mutation;
}

std::string ChangeOf(const Mutation& mutation) {
  std::string change;
  AppendRowChange(mutation, &change);
  return change;
}

// Random calls to the editor; answers false when nothing changed.
bool Step(RowEditor* editor, const RowRef& before, Cursor cursor, uint32_t keep, Mutation* mutation) {
  editor->Reset(before, kFields);
  const int calls = *rc::gen::inRange(1, 12);
  for (int i = 0; i < calls; ++i) {
    const FieldId f = *rc::gen::element<FieldId>(0, 1, 7, 8, kFields - 1);
    std::string encoded;
    DrawEncoded(1, {0, 2, 3}, &encoded);
    if (*rc::gen::inRange(0, 3) == 0 || !editor->Append(f, ValueOf(encoded))) {
      const bool to_null = *rc::gen::arbitrary<bool>();
      RC_ASSERT(editor->Set(f, to_null ? Value::Null() : ValueOf(encoded)));
    }
  }
  RowEditor::Built built = editor->Build(cursor, keep);
  if (built.after == nullptr) return false;
  *mutation = MutationOf(before, std::move(built));
  return true;
}

// However a chain of changes is split, folding gives the bytes of the editor's own rows.
RC_GTEST_PROP(RowChange, FoldedIsTheRowThatTheEditorBuilt, ()) {
  RowEditor editor;
  std::vector<Mutation> chain;
  RowRef row;
  const uint32_t keep = *rc::gen::element<uint32_t>(1, 3, 100);
  for (uint64_t slot = 1; slot <= 6; ++slot) {
    Mutation mutation;
    if (!Step(&editor, row, {slot * 300, slot}, keep, &mutation)) continue;
    row = mutation.after;
    if (mutation.before != nullptr) chain.push_back(std::move(mutation));
  }
  std::deque<std::string> texts;
  for (const Mutation& mutation : chain) texts.push_back(ChangeOf(mutation));
  const std::vector<std::string_view> changes(texts.begin(), texts.end());
  for (size_t first = 0; first < chain.size(); ++first) {
    for (size_t last = first; last < chain.size(); ++last) {
      const auto folded =
          FoldRowChanges(chain[first].before->bytes(), std::span(changes).subspan(first, last - first + 1));
      RC_ASSERT(folded.ok());
      RC_ASSERT(*folded == chain[last].after->bytes());
    }
  }
}

// Damaged bytes are an error or a row; nothing else happens.
RC_GTEST_PROP(RowChange, AnyBytesAreReadSafely, ()) {
  RowEditor editor;
  RowRef row;
  Mutation mutation;
  for (uint64_t slot = 1; slot <= 2; ++slot) {
    if (!Step(&editor, row, {slot, slot}, 100, &mutation)) return;
    row = mutation.after;
  }
  std::string base = mutation.before->bytes(), change = ChangeOf(mutation);
  std::string& damaged = *rc::gen::arbitrary<bool>() ? base : change;
  const size_t at = *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<size_t>(0, damaged.size()));
  damaged[at] = static_cast<char>(*rc::gen::arbitrary<uint8_t>());
  if (*rc::gen::arbitrary<bool>()) damaged.resize(at);
  const auto folded = FoldRowChanges(base, std::vector<std::string_view>{change});
  if (!folded.ok()) RC_ASSERT(folded.status().code() == absl::StatusCode::kDataLoss);
}

TEST(RowChange, IsOfOneRowOnly) {
  RowEditor editor;
  editor.Reset(nullptr, kFields);
  ASSERT_TRUE(editor.Set(0, Value::Uint(1)));
  const RowRef first = editor.Build({1, 1}, 100).after;
  editor.Reset(first, kFields);
  ASSERT_TRUE(editor.Set(0, Value::Uint(2)));
  const Mutation second = MutationOf(first, editor.Build({2, 1}, 100));
  editor.Reset(second.after, kFields);
  ASSERT_TRUE(editor.Set(0, Value::Uint(3)));
  const Mutation third = MutationOf(second.after, editor.Build({3, 1}, 100));
  const std::string change = ChangeOf(third);
  const auto error = [](std::string_view row, std::string_view text) {
    return std::string(FoldRowChanges(row, std::vector<std::string_view>{text}).status().message());
  };
  EXPECT_THAT(error(first->bytes(), change), HasSubstr("it is of the row 2:000000000001, but the row is 1:"));
  EXPECT_EQ(error(second.after->bytes(), change), "");
  // Twice is once: who reads a live store may meet a change again that the row has already.
  EXPECT_EQ(*FoldRowChanges(second.after->bytes(), std::vector<std::string_view>{change, change}),
            third.after->bytes());
  EXPECT_EQ(*FoldRowChanges(third.after->bytes(), std::vector<std::string_view>{change}), third.after->bytes());
  EXPECT_THAT(error("", change), HasSubstr("the row has no cursor"));
  EXPECT_THAT(error(second.after->bytes(), ""), HasSubstr("no two cursors"));
  EXPECT_THAT(error(second.after->bytes(), change.substr(0, change.size() - 1)), HasSubstr("field 0 is no value"));
}

// The store writes changes only while they are shorter, all together, than the row.
TEST(RowChange, ARowIsWrittenWholeBeforeItsChangesOutgrowIt) {
  RowEditor editor;
  editor.Reset(nullptr, kFields);
  for (uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(editor.Append(1, Value::Text(std::string(100, 'x'))));
  RowRef row = editor.Build({1, 1}, 1000).after;
  EXPECT_FALSE(row->stored_as_change()) << "there is no row before";
  size_t since_whole = 0;
  int whole = 0, changes = 0;
  for (uint64_t slot = 2; slot < 300; ++slot) {
    editor.Reset(row, kFields);
    ASSERT_TRUE(editor.Append(1, Value::Text(std::string(100, 'y'))));
    const Mutation mutation = MutationOf(row, editor.Build({slot, 1}, 1000));
    row = mutation.after;
    since_whole = row->stored_as_change() ? since_whole + ChangeOf(mutation).size() : 0;
    ++(row->stored_as_change() ? changes : whole);
    ASSERT_LT(since_whole, row->bytes().size());
  }
  EXPECT_GT(whole, 0);
  EXPECT_GT(changes, 20 * whole);

  const RowRef parsed = Row::Parse(row->bytes(), kFields).value();
  EXPECT_FALSE(parsed->stored_as_change());
  editor.Reset(parsed, kFields);
  ASSERT_TRUE(editor.Append(1, Value::Uint(1)));
  EXPECT_FALSE(editor.Build({300, 1}, 1000).after->stored_as_change()) << "how long its chain is, is not known";
}

}  // namespace
}  // namespace everstate
