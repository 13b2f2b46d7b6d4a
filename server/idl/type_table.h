// The types of one program while they are compiled.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/idl/layout.h"

namespace everstate::idl {

inline constexpr uint64_t kTypeBytesMax = 16u << 20;  // more than an account can hold (10 MiB)

// The types that a type is made of.
template <typename F>
void ForEachPart(const Type& type, F&& part) {
  if (type.kind == Kind::kArray || type.kind == Kind::kVec || type.kind == Kind::kOption ||
      type.kind == Kind::kFixedOption || type.kind == Kind::kMap) {
    part(type.element);
  }
  if (type.kind == Kind::kMap) part(type.map_value);
  for (const Type::Field& field : type.fields) part(field.type);
  for (const Type::Variant& variant : type.variants) {
    if (!variant.unit) part(variant.payload);
  }
}

// TypeTable: turns written types into entries of Program::types, each defined type once per form (Borsh or bytemuck).
//   Owns:    nothing; the IDL must outlive it.
//   Errors:  findings of `place`'s items; what is answered then says only that there is one. The parts beside go on.
class TypeTable {
 public:
  // How the bytes of a type are laid out. Borsh: one part after the other. Bytemuck is a struct of Rust's repr(C) with
  // natural alignment; where its safe form would need padding it must be packed, because safe bytemuck types have none.
  // What says that it is packed has none either.
  enum class Form : uint8_t { kBorsh, kBytemuck, kBytemuckUnsafe };

  TypeTable(const stack::Idl& idl, stack::Place place);

  // That of a type of bytemuck by itself, whatever it is used in.
  static Form FormOf(const stack::IdlTypeDef& def);

  absl::StatusOr<TypeId> Defined(const std::string& name, Form form, const std::string& item);
  absl::StatusOr<TypeId> Fields(const std::vector<stack::IdlField>& fields, bool tuple, Form form,
                                const std::string& item);

  // Fills in min_size, fixed_size and open_ended. Once, when all types are there.
  void Measure();
  // After Measure: neither the type nor anything in it has a finding of its sizes. Over another one a walk might not
  // end.
  bool Sound(TypeId id) const { return sound_[id]; }
  std::vector<Type> Take() { return std::move(types_); }
  const Type& at(TypeId id) const { return types_[id]; }

  const stack::IdlTypeDef* Find(const std::string& name) const;
  bool NameUnread() const { return name_unread_; }  // of some type: one that is not found may be it
  absl::Status Error(const std::string& item, const std::string& rule) const { return place_.At(item).Invalid(rule); }

 private:
  absl::StatusOr<TypeId> DefinedAs(const stack::IdlType& type, Form form, const std::string& item);
  absl::StatusOr<TypeId> CompileDefined(const stack::IdlTypeDef& def, const std::pair<std::string, Form>& key,
                                        const std::string& item);
  absl::StatusOr<TypeId> Written(const stack::IdlType& type, Form form, const std::string& item);
  absl::StatusOr<TypeId> WrittenInside(const stack::IdlType& type, Form form, const std::string& item);
  absl::StatusOr<TypeId> Listed(const stack::IdlType& type, Form form, const std::string& item);
  absl::StatusOr<TypeId> Alias(const stack::IdlTypeDef& def, const std::pair<std::string, Form>& key,
                               const std::string& item);
  absl::StatusOr<Type> EnumOf(const stack::IdlTypeDef& def, Form form);
  absl::StatusOr<Type> FieldsOf(const std::vector<stack::IdlField>& fields, bool tuple, Form form,
                                const std::string& item);
  absl::Status SortKeys(Type* type, const std::string& item);
  absl::Status AddPadding(uint32_t alignment, const std::string& item, uint64_t* size, Type* type);
  absl::StatusOr<TypeId> Simple(Kind kind);
  absl::StatusOr<TypeId> Add(Type type, const std::string& item);
  // Of all that the IDL's types and their copies with generics bound take.
  absl::Status Spend(uint64_t bytes);

  // What is known of a type from its parts as soon as it is there. Each part is looked at once: a type can be inside of
  // others in any number of ways. Of a Borsh type that is still being compiled, inside itself, it says nothing yet.
  struct Extent {
    int height = 1;          // how many types are nested in it, itself included
    uint32_t alignment = 1;  // in bytemuck, in bytes
    uint64_t size = 0;       // in bytemuck, in bytes
  };
  Extent ExtentOf(const Type& type) const;
  uint32_t AlignmentOf(const Type& type) const;
  uint64_t SizeInBytemuck(const Type& type) const;

  uint64_t MinSizeOf(const Type& type) const;
  bool VariesIn(const Type& type, const std::vector<bool>& varies) const;
  // The findings of sizes; each makes its type unsound.
  void Fault(TypeId id, const std::string& rule);
  void CheckEndless();
  void CheckSize(TypeId id, bool varies);
  void MarkOpenEnds();
  void CheckOpenEnd(TypeId id);

  const stack::Place place_;
  std::unordered_map<std::string, const stack::IdlTypeDef*> defs_;
  std::vector<Type> types_;
  std::vector<Extent> extents_;      // by TypeId
  std::vector<std::string> items_;   // by TypeId: where the type was first named, for messages
  std::vector<uint64_t> min_sizes_;  // by TypeId
  std::vector<bool> sound_;          // by TypeId
  uint64_t spent_ = 0;
  std::map<Kind, TypeId> simple_;
  std::map<std::pair<std::string, Form>, TypeId> defined_;
  std::map<std::pair<std::string, Form>, bool> open_;  // being compiled
  std::set<std::pair<std::string, Form>> faulty_;      // have findings
  std::set<const stack::IdlTypeDef*> unread_;          // had findings when they were read
  std::set<std::string> missing_;                      // names that no type has, each said once
  std::vector<TypeId> unfinished_;                     // have findings and are in others already
  bool name_unread_ = false;
  int depth_ = 0;
};

}  // namespace everstate::idl
