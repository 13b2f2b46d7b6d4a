// A small stack as text, hand-made blocks, and a view over a map: what the tests of the machine share.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/stack/stack.h"
#include "server/vm/block.h"
#include "server/vm/machine.h"
#include "server/vm/projection.h"
#include "server/vm/state_view.h"
#include "storage/row.h"

namespace everstate::vm {

// The IDL "mini": an account Thing (discriminator 1..8), instructions do_it [9], freeze [10], halt [11], link [12] and
// nest [13], whose argument is deeper than a row may hold; an event Boom.
inline constexpr char kProgramId[] = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";

// Pieces of a stack file, as JSON text.
std::string PathJson(const std::string& dotted);  // {"segments":[…]}; "" = empty
std::string From(const std::string& dotted, const std::string& members = "");
std::string Mapping(const std::string& target, const std::string& source, const std::string& population,
                    const std::string& members = "");
std::string Compare(const std::string& dotted, const std::string& op, const std::string& value);  // a ConditionExpr
std::string Handler(const std::string& type, const std::string& key, const std::vector<std::string>& mappings);
std::string LookupHandler(const std::string& type, const std::string& path, const std::vector<std::string>& mappings);
std::string Hook(const std::string& type, const std::string& lookup_by, const std::vector<std::string>& actions);
inline constexpr char kThing[] = "mini::ThingState";
inline constexpr char kDoIt[] = "mini::DoItIxState";
inline constexpr char kFreeze[] = "mini::FreezeIxState";
inline constexpr char kHalt[] = "mini::HaltIxState";
inline constexpr char kLink[] = "mini::LinkIxState";  // accounts.from, accounts.to
inline constexpr char kNest[] = "mini::NestIxState";  // data.deep
inline constexpr char kBoom[] = "mini::BoomCpiEvent";

struct EntityText {
  std::string name = "E", primary_key = "id";
  std::vector<std::string> handlers, hooks, indexes, computed;  // computed: {"target_path":…,"expression":…}
  std::string views = "[]", resolver_hooks = "[]", resolver_specs = "[]", computed_fields = "[]";
  std::string Json() const;
};
// One entity for each address: of a Thing account, and of a do_it instruction's target.
EntityText Things(const std::vector<std::string>& mappings);
EntityText Deeds(const std::vector<std::string>& mappings);
std::string Computed(const std::string& target, const std::string& expression);
std::string StackJson(const std::vector<EntityText>& entities);
absl::StatusOr<std::shared_ptr<const Projection>> CompileText(const std::vector<EntityText>& entities,
                                                              const Settings& settings = {});

using Key = std::array<uint8_t, 32>;
Key K(int n);                // the n-th test key
std::string KeyText(int n);  // its base58
std::string Little(uint64_t value, size_t bytes);

// The bytes of a Thing account.
struct Thing {
  uint64_t id = 0;
  int owner = 0;
  uint64_t amount = 0;
  int64_t delta = 0;
  uint64_t big = 0;  // u128
  std::optional<uint64_t> maybe = {};
  uint64_t end_at = 0;  // named endAt in the IDL
  std::string Bytes() const;
};
// The bytes of a do_it instruction.
std::string DoIt(uint64_t amount, int64_t delta = 0, double ratio = 0);

// The bytes of a link instruction, and those of a Boom: as a log has them, and as an instruction carries them.
inline constexpr char kLinkData[] = "\f";
std::string Boom(int who, uint64_t amount, bool flag = false);
std::string BoomData(int who, uint64_t amount, bool flag = false);

struct InstructionText {
  std::string data;
  std::vector<int> accounts;  // test keys
  std::string program = kProgramId;
  uint32_t height = 1;
};

// BlockBuilder: owns the bytes of a block made by hand.
class BlockBuilder {
 public:
  explicit BlockBuilder(Slot slot, std::optional<int64_t> time = 1000);
  // `writable`: test keys that the transaction may write. The signature is 64 times the byte `signature`.
  BlockBuilder& Transaction(uint8_t signature, const std::vector<InstructionText>& instructions,
                            const std::vector<int>& writable = {}, bool failed = false);
  // What the last transaction has in its log. Every transaction that is given none has an empty one.
  BlockBuilder& Log(const std::vector<std::string>& lines);
  BlockBuilder& Account(int key, const std::string& data, std::optional<uint8_t> signature = {}, uint64_t lamports = 1,
                        const std::string& owner = kProgramId);
  const Block& block() const { return block_; }

 private:
  const uint8_t* Keep(std::string bytes);
  Block block_;
  std::deque<std::string> bytes_;
  std::deque<std::vector<const uint8_t*>> keys_;
  std::deque<std::unique_ptr<bool[]>> writable_;
  std::deque<std::vector<InstructionUpdate>> instructions_;
  std::deque<std::vector<std::string_view>> logs_;
};

// What was remembered, in maps: fed with batches as the store would be.
class MapView : public StateView {
 public:
  absl::StatusOr<RowRef> Get(EntityId entity, std::string_view key) override;
  absl::StatusOr<std::optional<std::string>> GetSide(const SideKey& key) override;
  void Apply(const Batch& batch);
  // Rows read again from their bytes, as after a restart.
  void Reload(const RowSchema& schema);
  std::map<std::pair<EntityId, std::string>, RowRef> rows;
  std::map<SideKey, std::string> sides;
  absl::Status error;  // what every read answers, when not ok
};

// World: a projection, a machine and its view.
class World {
 public:
  explicit World(const std::vector<EntityText>& entities, const Settings& settings = {});
  void Restart();                               // another machine, and everything it knows read from bytes
  BatchRef Run(const BlockBuilder& block);      // and applies
  BatchRef Project(const BlockBuilder& block);  // does not apply
  // JSON of one field; "absent" when it has no value.
  std::string Field(const std::string& key, const std::string& path, EntityId entity = 0) const;
  uint64_t Faults(FaultReason reason) const;
  uint64_t AllFaults() const;
  size_t Sides(SideKind kind) const;
  std::shared_ptr<const Projection> projection;
  std::unique_ptr<Machine> machine;
  MapView view;
};

// Every byte of a batch that anybody can see, as text.
std::string Describe(const Batch& batch);

}  // namespace everstate::vm
