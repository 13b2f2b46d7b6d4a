#include "server/fanout/publication.h"

#include <charconv>

#include "server/fanout/send_queue.h"
#include "storage/row.h"
#include "storage/row_merge.h"

namespace everstate {
namespace {

void AppendSeq(const Cursor& cursor, std::string* out) {
  char digits[24];
  auto end = std::to_chars(digits, digits + sizeof digits, cursor.slot).ptr;
  out->append(digits, end).push_back(':');
  end = std::to_chars(digits, digits + sizeof digits, cursor.index).ptr;
  const size_t width = static_cast<size_t>(end - digits);
  if (width < 12) out->append(12 - width, '0');
  out->append(digits, end);
}

FrameOp OpOf(const RowSchema& schema, const EntitySchema& entity, const Mutation& mutation) {
  if (mutation.after == nullptr) return FrameOp::kDelete;
  return TakesKeysAway(schema, entity, mutation) ? FrameOp::kUpsert : FrameOp::kPatch;
}

void AppendPaths(const EntitySchema& entity, const std::vector<Appended>& appended, std::string* out) {
  bool first = true;
  for (const Appended& one : appended) {
    if (!entity.emitted.test(one.field)) continue;
    out->append(first ? ",\"append\":[" : ",").append(entity.append_texts[one.field]);
    first = false;
  }
  if (!first) out->push_back(']');
}

// Everything of a live frame behind its head: "key":K,"data":D[,"append":[…]],"seq":"S"}
void AppendBody(const RowSchema& schema, const EntitySchema& entity, const Mutation& mutation, FrameOp op,
                std::string* out) {
  out->append("\"key\":");
  AppendJsonString(mutation.key, out);
  out->append(",\"data\":");
  switch (op) {
    case FrameOp::kDelete:
      out->append("null");
      break;
    case FrameOp::kUpsert:
      AppendEntityJson(schema, entity, *mutation.after, out);
      break;
    case FrameOp::kPatch:
      AppendPatchJson(schema, entity, mutation, out);
      AppendPaths(entity, mutation.appended, out);
      break;
  }
  out->append(",\"seq\":\"");
  AppendSeq(mutation.cursor, out);
  out->append("\"}");
}

}  // namespace

size_t Publication::bytes() const {
  size_t bytes = sizeof(Publication) + keys.size();
  for (const ViewFrames& frames : views) bytes += frames.bytes.size() + frames.frames.size() * sizeof(FrameRef);
  return bytes;
}

std::shared_ptr<const Publication> EncodePublication(const ViewTable& views, const Applied& applied,
                                                     Counter* frames_encoded) {
  auto publication = std::make_shared<Publication>();
  publication->number = applied.number;
  // Position in publication->views of each view that is listened to; read once, so that a batch is whole for a view.
  constexpr int kNobody = -1;
  std::vector<int> at(views.size(), kNobody);
  std::vector<ViewFrames> out;
  for (uint32_t i = 0; i < views.size(); ++i) {
    // A read-modify-write and no load: a join that this does not see happens after it, so that its look sees the batch.
    if (views.view(i).listeners.fetch_add(0, std::memory_order_acq_rel) == 0) continue;
    at[i] = static_cast<int>(out.size());
    out.emplace_back().view = i;
  }
  if (out.empty()) return publication;

  std::string body;
  for (const Mutation& mutation : applied.batch->mutations) {
    const EntitySchema& entity = views.schema().entity(mutation.entity);
    body.clear();
    FrameRef frame;
    for (uint32_t index : views.of_entity(mutation.entity)) {
      if (at[index] == kNobody) continue;
      if (body.empty()) {
        if (!EmitsAnything(entity, mutation)) break;
        frame.op = OpOf(views.schema(), entity, mutation);
        AppendBody(views.schema(), entity, mutation, frame.op, &body);
        frame.key_offset = publication->keys.size();
        frame.key_size = mutation.key.size();
        publication->keys.append(mutation.key);
      }
      const ServedView& view = views.view(index);
      const std::string& head = view.head(frame.op);
      ViewFrames& frames = out[static_cast<size_t>(at[index])];
      frame.offset = frames.bytes.size();
      AppendFrameHeader(kTextFrame, head.size() + body.size(), &frames.bytes);
      frames.bytes.append(head).append(body);
      frame.size = frames.bytes.size() - frame.offset;
      frames.frames.push_back(frame);
    }
  }
  for (ViewFrames& frames : out) {
    if (frames.frames.empty()) continue;
    const ServedView& view = views.view(frames.view);
    view.frames.Add(frames.frames.size());
    view.bytes.Add(frames.bytes.size());
    frames_encoded->Add(frames.frames.size());
    publication->views.push_back(std::move(frames));
  }
  return publication;
}

}  // namespace everstate
