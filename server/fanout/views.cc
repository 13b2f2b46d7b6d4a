#include "server/fanout/views.h"

#include "server/fanout/send_queue.h"
#include "storage/row.h"

namespace everstate {
namespace {

std::string Head(const ViewDef& view, std::string_view op_and_rest) {
  std::string head = "{\"mode\":\"";
  head.append(ViewModeName(view.mode));
  head.append("\",\"entity\":");
  AppendJsonString(view.id, &head);
  head.append(",\"op\":");
  head.append(op_and_rest);
  return head;
}

}  // namespace

std::string_view FrameOpName(FrameOp op) {
  switch (op) {
    case FrameOp::kPatch:
      return "patch";
    case FrameOp::kUpsert:
      return "upsert";
    case FrameOp::kDelete:
      return "delete";
  }
  return "";
}

ServedView::ServedView(const ViewDef& view)
    : def(view),
      live_heads{Head(view, "\"patch\","), Head(view, "\"upsert\","), Head(view, "\"delete\",")},
      snapshot_head(Head(view, "\"snapshot\",\"data\":[")) {
  subscribed = "{\"op\":\"subscribed\",\"view\":";
  AppendJsonString(view.id, &subscribed);
  subscribed.append(",\"mode\":\"").append(ViewModeName(view.mode)).append("\"");
  if (view.mode == ViewMode::kList) subscribed.append(",\"sort\":{\"field\":[\"_seq\"],\"order\":\"desc\"}");
  subscribed.append("}");
}

void ServedView::AppendDelete(std::string_view key, std::string* out) const {
  std::string text = head(FrameOp::kDelete) + "\"key\":";
  AppendJsonString(key, &text);
  text += ",\"data\":null}";
  AppendFrameHeader(kTextFrame, text.size(), out);
  *out += text;
}

ViewTable::ViewTable(const RowSchema& schema) : schema_(schema), by_entity_(schema_.entities().size()) {
  for (const ViewDef& view : schema_.views()) {
    if (view.unsupported.empty()) by_entity_[view.entity].push_back(static_cast<uint32_t>(views_.size()));
    views_.emplace_back(view);
  }
}

std::optional<uint32_t> ViewTable::Find(std::string_view id) const {
  const ViewDef* def = schema_.FindView(id);
  if (def == nullptr) return std::nullopt;
  return static_cast<uint32_t>(def - schema_.views().data());
}

}  // namespace everstate
