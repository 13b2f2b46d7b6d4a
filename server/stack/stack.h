// The stack: program IDLs and a declarative projection, as read from `*.stack.json`, checked and typed. Nothing is
// compiled here and nothing is left out: what the format can say, this model can hold. Names are the stack format's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "server/stack/diagnostics.h"
#include "server/stack/idl.h"

namespace everstate::stack {

// A JSON constant inside a stack. Integers keep their exact value; numbers with '.' or an exponent, or beyond 64 bits,
// are floats.
struct Literal {
  struct Null {};
  struct Member;
  using Array = std::vector<Literal>;
  using Object = std::vector<Member>;                                                     // ascending by key
  std::variant<Null, bool, uint64_t, int64_t, double, std::string, Array, Object> value;  // int64_t: negative only
};
struct Literal::Member {
  std::string key;
  Literal value;
};

using Path = std::vector<std::string>;   // FieldPath.segments; empty = the whole source
std::string PathText(const Path& path);  // dotted
// Of a dotted path: "", ".a", "a..b" and "a." have one, and so name nothing.
bool HasEmptySegment(std::string_view path);

enum class Transform { kHexEncode, kHexDecode, kBase58Encode, kBase58Decode, kToString, kToNumber };
enum class Population { kSetOnce, kLastWrite, kAppend, kMerge, kMax, kSum, kCount, kMin, kUniqueCount };
enum class Comparison { kEqual, kNotEqual, kGreaterThan, kGreaterThanOrEqual, kLessThan, kLessThanOrEqual };
std::string_view Name(Transform t);
std::string_view Name(Population p);
std::string_view Name(Comparison c);

// ConditionExpr.parsed. `expression` is the text it was written as, for messages.
struct Condition {
  struct Compare {
    Path field;
    Comparison op;
    Literal value;
  };
  struct Logical {
    bool all;  // And, else Or
    std::vector<Condition> conditions;
  };
  std::string expression;
  std::variant<std::monostate, Compare, Logical> parsed;  // monostate: the file has no parsed form
};

struct MappingSource {
  struct FromSource {
    Path path;
    std::optional<Literal> default_value;
    std::optional<Transform> transform;
  };
  struct Constant {
    Literal value;
  };
  // Sum, Concat, Format or Custom; the latter's text
  struct Computed {
    std::vector<Path> inputs;
    std::string function, argument;
  };
  struct FromState {
    std::string path;
  };
  struct AsEvent {
    std::vector<FromSource> fields;
  };
  struct WholeSource {};
  struct AsCapture {
    std::vector<std::pair<std::string, Transform>> field_transforms;
  };
  struct FromContext {
    std::string field;  // "slot", "signature", "timestamp"
  };
  std::variant<FromSource, Constant, Computed, FromState, AsEvent, WholeSource, AsCapture, FromContext> value;
};

struct Mapping {
  std::string target_path;
  MappingSource source;
  std::optional<Transform> transform;
  Population population = Population::kLastWrite;
  std::optional<Condition> condition;
  std::string when, stop;  // event types, empty = none
  bool emit = true;
};

struct KeyResolution {
  enum class Kind { kEmbedded, kLookup, kComputed, kTemporalLookup } kind = Kind::kEmbedded;
  Path field;              // primary_field or lookup_field
  Path timestamp_field;    // kTemporalLookup
  std::string index_name;  // kTemporalLookup
};

struct Handler {
  std::string event_type;  // source.type_name, e.g. "spl_token::MintState"
  bool is_account = false;
  KeyResolution key;
  std::vector<Mapping> mappings;
  bool has_conditions = false;  // handler.conditions is not empty
  bool emit = true;
};

struct ResolverHook {
  std::string account_type;
  struct PdaReverseLookup {
    std::string lookup_name;
    std::vector<std::vector<uint8_t>> queue_discriminators;
  };
  struct DirectField {
    Path field;
  };
  std::variant<PdaReverseLookup, DirectField> strategy;
};

struct HookAction {
  struct RegisterPdaMapping {
    Path pda_field, seed_field;
    std::string lookup_name;
  };
  struct SetField {
    std::string target_field;
    MappingSource source;
    std::optional<Condition> condition;
  };
  struct IncrementField {
    std::string target_field;
    int64_t increment_by = 1;
    std::optional<Condition> condition;
  };
  std::variant<RegisterPdaMapping, SetField, IncrementField> value;
};

struct InstructionHook {
  std::string instruction_type;
  std::vector<HookAction> actions;
  std::optional<Path> lookup_by;
};

struct ResolverSpec {
  bool token = false;  // else url
  struct UrlPart {
    bool field_ref;
    std::string text;
  };
  std::vector<UrlPart> url_template;  // {"FieldPath": p} is one field_ref
  bool post = false;
  std::optional<std::string> input_path;
  std::optional<Literal> input_value;
  bool last_write = false;  // else SetOnce
  struct Extract {
    std::string target_path;
    std::optional<std::string> source_path;
    std::optional<Transform> transform;
  };
  std::vector<Extract> extracts;
  struct When {
    std::string field_path;
    Comparison op;
    Literal value;
  };
  std::optional<When> condition;
  std::optional<std::string> schedule_at;
};

// A computed field's expression. One struct for all nodes; `args` are its operands in the order the format names them.
struct Expr {
  enum class Kind {
    kFieldRef,
    kUnwrapOr,
    kBinary,
    kCast,
    kMethodCall,
    kResolverComputed,
    kLiteral,
    kParen,
    kVar,
    kLet,
    kIf,
    kNone,
    kSome,
    kSlice,
    kIndex,
    kU64FromLeBytes,
    kU64FromBeBytes,
    kByteArray,
    kClosure,
    kUnary,
    kJsonToBytes,
    kKeccak256,
    kContextSlot,
    kContextTimestamp
  } kind = Kind::kNone;
  std::string text;  // path, op, to_type, method, "Resolver.method", name or param
  std::vector<Expr> args;
  Literal literal;              // kLiteral value, kUnwrapOr default
  uint64_t start = 0, end = 0;  // kSlice; start = index of kIndex
  std::vector<uint8_t> bytes;   // kByteArray
};
std::string_view Name(Expr::Kind kind);

struct ComputedField {
  std::string target_path;
  Expr expression;
};

struct LookupIndex {
  std::string field_name;
  std::optional<std::string> temporal_field;
};

// Derived views: a pipeline over an entity or another view.
struct Predicate {
  enum class Kind { kCompare, kAnd, kOr, kNot, kExists } kind = Kind::kExists;
  Path field;
  std::string op;                                  // Eq Ne Gt Gte Lt Lte
  std::variant<Literal, std::string, Path> value;  // Literal | Dynamic text | Field
  std::vector<Predicate> args;
};
struct ViewStep {
  enum class Kind { kFilter, kSort, kTake, kSkip, kFirst, kLast, kMaxBy, kMinBy } kind = Kind::kSort;
  Predicate predicate;
  Path key;
  bool descending = false;
  uint64_t count = 0;
};
struct View {
  std::string id;                          // e.g. "TokenMint/by_volume"
  std::string source_entity, source_view;  // one of them
  std::vector<ViewStep> pipeline;
  std::string output = "Collection";  // Collection, Single or Keyed
  Path output_key;                    // Keyed
};

struct Entity {
  std::string name;  // state_name
  std::vector<std::string> primary_keys;
  std::vector<LookupIndex> lookup_indexes;
  std::vector<Handler> handlers;
  std::vector<std::string> sections;  // names, without "root"
  std::vector<ResolverHook> resolver_hooks;
  std::vector<InstructionHook> instruction_hooks;
  std::vector<ResolverSpec> resolver_specs;
  std::vector<std::string> computed_fields;
  std::vector<ComputedField> computed_field_specs;
  std::vector<View> views;
};

struct Stack {
  std::string name;  // stack_name
  std::string file;  // where it was read from, for messages
  std::string text;  // the file's bytes
  // Content hash, recomputed: SHA-256 of the compact JSON in file order without content_hash
  std::array<uint8_t, 32> hash{};
  std::string recorded_hash;             // the file's content_hash as it stands there; empty: it has none
  bool hash_differs = false;             // the file has one and it is not `hash` in hex
  std::vector<std::string> program_ids;  // base58; index i belongs to idls[i]
  std::vector<Idl> idls;
  std::vector<Entity> entities;
};

// Reads and checks a stack of at most 64 MiB and 128 levels of JSON. What is wrong with it becomes findings; the stack
// is then there only to look for more of them (vm::Projection::Compile does). The file is the diagnostics'. Never
// crashes, whatever the bytes.
//   Errors:  NotFound, PermissionDenied, Unavailable (file); InvalidArgument when it is not JSON: nothing was read
//            then.
absl::StatusOr<std::shared_ptr<const Stack>> ReadStackFile(Diagnostics* diagnostics);
absl::StatusOr<std::shared_ptr<const Stack>> ReadStack(std::string text, Diagnostics* diagnostics);

// The same for whoever wants a sound stack or none.
//   Errors:  NotFound, PermissionDenied, Unavailable (file); InvalidArgument naming the file, the JSON path and the
//            rule ("SplStream.stack.json: entities[1].handlers[0].mappings[3].population: \"Foo\" is not one of …").
//            Never crashes, whatever the bytes.
absl::StatusOr<std::shared_ptr<const Stack>> LoadStack(const std::string& file);
absl::StatusOr<std::shared_ptr<const Stack>> ParseStack(std::string text, const std::string& file);

}  // namespace everstate::stack
