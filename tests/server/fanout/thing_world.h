// ThingWorld: a real store with one small entity, changed by the test's hand in place of a projector.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "server/fanout/fanout.h"
#include "storage/entity_store.h"
#include "storage/entity_writer.h"
#include "storage/row.h"

namespace everstate::testing {

// Fields of Thing, in the order of their ids.
enum ThingField : FieldId { kEv, kHidden, kRank, kItems, kName, kKind };

class ThingWorld {
 public:
  ThingWorld();
  ~ThingWorld();

  std::shared_ptr<const EntityStore> store() const { return store_; }
  // Lets go of the store: nothing can be changed any more. Who else holds it goes on reading.
  void Close();

  // Changes for the batch to come; a key once.
  void Edit(const std::string& key, const std::function<void(RowEditor&)>& edit);
  void SetRank(const std::string& key, uint64_t rank);
  void AddEv(const std::string& key, uint64_t element);
  // An object of those that are given
  void SetKind(const std::string& key, std::optional<uint64_t> a, std::optional<uint64_t> b);
  void Delete(const std::string& key);  // of a key that exists
  // Applies the batch; to be published by the caller.
  Applied Apply();

  bool Exists(const std::string& key) const { return rows_.contains(key); }
  // What a client's store must hold in the end: key -> entity, from the rows themselves.
  std::map<std::string, nlohmann::json> Truth() const;

  static constexpr uint32_t kAppendKeep = 20;

 private:
  std::filesystem::path dir_;
  std::shared_ptr<const RowSchema> schema_;
  std::shared_ptr<EntityStore> store_;
  std::unique_ptr<EntityWriter> writer_;
  std::map<std::string, RowRef> rows_;
  Batch next_;
  Slot slot_ = 1000;
};

// FakeClient: a client's stores, one per view, with the merge rules that all clients of the reference share: snapshot
// rows and upserts replace, patches merge deeply, arrays named in "append" grow. It makes nothing of "reset", but to
// check that numbers rise.
class FakeClient {
 public:
  // One server message. Answers what is wrong with it; empty when it is fine.
  std::string Take(const std::string& text);
  // A client that lets go of a row, because it is no longer subscribed to it.
  void Forget(const std::string& view, const std::string& key);

  std::map<std::string, std::map<std::string, nlohmann::json>> stores;  // view -> key -> entity
  std::map<std::string, int> completes;                                 // view -> snapshots that ended
  std::map<std::string, int> subscribed;                                // view -> `subscribed` frames
  std::map<std::string, int> resets;                                    // view -> snapshots with "reset" that ended
  size_t switch_deletes = 0;                                            // `delete` frames that no mutation made
  std::vector<nlohmann::json> issues;
  std::vector<nlohmann::json> live;  // when keep_live
  bool keep_live = false;
  size_t live_frames = 0;

 private:
  std::map<std::pair<std::string, std::string>, std::string> last_seq_;  // (view, key): of the last live frame
};

std::string ViewMessage(std::string_view type, std::string_view view,
                        const std::optional<std::string>& key = std::nullopt, bool with_snapshot = true);

}  // namespace everstate::testing
