// Checkpoints: what there is to go back to, and the rewind.
#include <algorithm>
#include <charconv>
#include <utility>

#include "admin-gui/format.h"
#include "admin-gui/panel.h"
#include "admin-gui/panels/timeline.h"

namespace everstate::console {
namespace {

// Where the archive does not reach, the server asks its provider about each checkpoint: not oftener than is needed.
constexpr std::chrono::seconds kListEvery{15};
constexpr char kRewindTitle[] = "Rewind";
constexpr char kPruneTitle[] = "Prune checkpoints";

std::optional<uint64_t> ParseNumber(const std::string& text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

const auto& Listed(const ConsoleModel& model) {
  return model.checkpoints() ? model.checkpoints()->checkpoints() : api::Checkpoints::default_instance().checkpoints();
}

class CheckpointsPanel final : public Panel {
 public:
  const char* title() const override { return "Checkpoints"; }

  void Draw(DrawContext& context) override {
    const bool up = context.model.link().state == Link::State::kUp;
    AskForList(context, up);
    Widgets& ui = context.ui;
    ui.SetSource(context.model.status_at(), context.model.stale(context.now));
    DrawRewindProgress(context);
    const auto clicked = DrawTimeline(context, selected_, {ImGui::GetContentRegionAvail().x, ui.px(128)});
    if (clicked) selected_ = *clicked;
    ui.SetSource(context.model.checkpoints_at(), !up);
    DrawButtons(context, up);
    if (!context.model.checkpoints_error().empty())
      ui.Text("list error", "The list could not be read: " + context.model.checkpoints_error(), ui.palette().bad, true);
    DrawTable(context);
    DrawRewindDialog(context);
    DrawPruneDialog(context);
  }

 private:
  // What may have changed the list.
  struct News {
    bool up = false;
    Time noticed{};
    uint64_t made = 0;  // by the server
    bool operator==(const News&) const = default;
  };
  void AskForList(DrawContext& context, bool up);
  const api::Checkpoint* Selected(const ConsoleModel& model) const;
  static const api::Checkpoint* NearestUsable(const ConsoleModel& model, uint64_t slot);

  void DrawButtons(DrawContext& context, bool up);
  static void DrawRewindProgress(DrawContext& context);
  void DrawTable(DrawContext& context);
  void DrawRow(Widgets& ui, const api::Checkpoint& checkpoint);
  void DrawRewindDialog(DrawContext& context);
  void DrawPruneDialog(DrawContext& context);

  Time list_at_{};
  News news_;
  std::string selected_;  // a name
  std::string slot_text_, typed_, keep_text_ = "5";
  bool again_ = false, accept_gap_ = false;
};

// Now and then, and at once when there is news: a command is done, the server was lost and found, it made one by
// itself.
void CheckpointsPanel::AskForList(DrawContext& context, bool up) {
  const auto& notices = context.model.notices();
  const auto& status = context.model.status();
  const News news{up, notices.empty() ? Time{} : notices.back().at, status ? status->checkpoints().made() : 0};
  const bool none = std::exchange(news_, news) == news;
  if (!up || (none && context.now < list_at_)) return;
  context.client.ListCheckpoints();
  list_at_ = context.now + kListEvery;
}

const api::Checkpoint* CheckpointsPanel::Selected(const ConsoleModel& model) const {
  for (const api::Checkpoint& one : Listed(model)) {
    if (one.name() == selected_) return &one;
  }
  return nullptr;
}

const api::Checkpoint* CheckpointsPanel::NearestUsable(const ConsoleModel& model, uint64_t slot) {
  const api::Checkpoint* nearest = nullptr;
  for (const api::Checkpoint& one : Listed(model)) {
    if (one.ours() && one.has_slot() && one.slot() <= slot && (!nearest || one.slot() > nearest->slot()))
      nearest = &one;
  }
  return nearest;
}

void CheckpointsPanel::DrawButtons(DrawContext& context, bool up) {
  Widgets& ui = context.ui;
  const ConsoleModel& model = context.model;
  const api::Checkpoint* selected = Selected(model);
  const bool creating = model.under_way(kCreateCheckpoint), verifying = model.under_way(kVerifyCheckpoint);
  if (ui.Button("create", creating ? "Creating…" : "Create", up && !creating,
                "Makes a checkpoint of the state as it is now"))
    context.client.CreateCheckpoint();
  ImGui::SameLine();
  if (ui.Button("verify", verifying ? "Verifying…" : "Verify", up && selected && !verifying,
                "Reads the chosen checkpoint whole and compares its checksums"))
    context.client.VerifyCheckpoint(selected_);
  ImGui::SameLine();
  if (ui.Button("prune", "Prune…", up && model.checkpoints() && !model.under_way(kPruneCheckpoints),
                "Deletes all but the newest"))
    ImGui::OpenPopup(kPruneTitle);
  ImGui::SameLine();
  const bool rewinding =
      model.status() && model.status()->has_rewind() && model.status()->rewind().state() == "filling";
  if (ui.Button("rewind", "Rewind…", up && !rewinding && !model.under_way(kRewind),
                rewinding ? "One is under way" : "Makes the state anew from a checkpoint")) {
    slot_text_ = selected && selected->has_slot() ? std::to_string(selected->slot()) : "";
    typed_.clear();
    again_ = accept_gap_ = false;
    ImGui::OpenPopup(kRewindTitle);
  }
  ImGui::SameLine();
  if (selected) {
    ui.Text("chosen", "chosen: " + selected->name(), ui.palette().dim);
  } else {
    ui.Text("chosen", "choose a checkpoint in the table to verify it or to rewind to it", ui.palette().dim);
  }
}

void CheckpointsPanel::DrawRewindProgress(DrawContext& context) {
  Widgets& ui = context.ui;
  const auto& status = context.model.status();
  if (!status || !status->has_rewind()) return;
  const api::Rewind& rewind = status->rewind();
  const bool failed = rewind.state() == "failed", done = rewind.state() == "done";
  const std::string words = "Rewind to slot " + std::to_string(rewind.requested_slot()) + " from " +
                            Clip(rewind.checkpoint(), 60) + " into generation " + std::to_string(rewind.generation()) +
                            ": " + Clip(rewind.state(), 40);
  ui.Name("rewind state", "Status.rewind.state", words, 300,
          failed ? ui.palette().bad
          : done ? ui.palette().good
                 : ui.palette().warn);
  if (!rewind.error().empty()) ui.Text("rewind error", rewind.error(), ui.palette().bad, true);
  if (failed) return;
  std::optional<double> share;
  if (done) {
    share = 1;
  } else if (rewind.target_slot() > rewind.from_slot() && rewind.slot() >= rewind.from_slot()) {
    share = static_cast<double>(rewind.slot() - rewind.from_slot()) /
            static_cast<double>(rewind.target_slot() - rewind.from_slot());
  }
  const std::string text = "slot " + std::to_string(rewind.slot()) + " of " + std::to_string(rewind.target_slot()) +
                           (share ? ", " + Percent(*share) : "");
  ui.Bar("rewind progress", "Status.rewind.slot", share, text, done ? ui.palette().good : ui.palette().accent);
}

void CheckpointsPanel::DrawTable(DrawContext& context) {
  Widgets& ui = context.ui;
  const auto& checkpoints = context.model.checkpoints();
  if (!checkpoints) return ui.Value("checkpoints", "Checkpoints", std::nullopt);
  if (checkpoints->checkpoints().empty())
    return ui.Text("checkpoints", "There is no checkpoint yet.", ui.palette().dim);
  if (!ui.BeginTable("checkpoints",
                     {{"name", 2.2f},
                      {"slot", 1.0f},
                      {"made", 1.5f},
                      {"entities", 0.9f},
                      {"size", 0.7f},
                      {"can be used", 1.6f},
                      {"reach to the head", 2.2f}},
                     ImGuiTableFlags_ScrollY | ImGuiTableFlags_Resizable | ImGuiTableFlags_BordersOuterH,
                     ImGui::GetContentRegionAvail()))
    return;
  // The newest first; those whose slot could not be read last.
  std::vector<const api::Checkpoint*> rows;
  for (const api::Checkpoint& one : checkpoints->checkpoints()) rows.push_back(&one);
  std::stable_sort(rows.begin(), rows.end(), [](const auto* a, const auto* b) { return a->slot() > b->slot(); });
  ui.Rows(rows.size(), 0, [&](size_t i) {
    ImGui::PushID(static_cast<int>(i));
    DrawRow(ui, *rows[i]);
    ImGui::PopID();
  });
  ImGui::EndTable();
}

void CheckpointsPanel::DrawRow(Widgets& ui, const api::Checkpoint& one) {
  const std::string id = "checkpoint " + Clip(one.name(), 80);
  const bool damaged = !one.damage().empty();
  ImGui::TableNextRow();
  ImGui::TableNextColumn();
  if (ui.Row(id, one.name(), one.name() == selected_)) selected_ = one.name();
  ImGui::TableNextColumn();
  ui.Value(id + " slot", "Checkpoint.slot", When(one.has_slot(), [&] { return std::to_string(one.slot()); }));
  ImGui::TableNextColumn();
  ui.Value(id + " made", "Checkpoint.created_at",
           When(one.has_created_at(), [&] { return DateAndTime(one.created_at()); }));
  ImGui::TableNextColumn();
  ui.Value(id + " entities", "Checkpoint.entities", When(one.has_entities(), [&] { return Count(one.entities()); }));
  ImGui::TableNextColumn();
  ui.Value(id + " size", "Checkpoint.bytes",
           When(one.has_bytes(), [&] { return Bytes(static_cast<double>(one.bytes())); }));
  ImGui::TableNextColumn();
  if (damaged) {
    ui.Name(id + " use", "Checkpoint.damage", "damaged: " + one.damage(), 200, ui.palette().bad);
  } else {
    ui.Value(id + " use", "Checkpoint.ours",
             When(one.has_ours(), [&] { return one.ours() ? "yes" : "no, of another lineage"; }),
             one.ours() ? ui.palette().good : ui.palette().dim);
  }
  ImGui::TableNextColumn();
  ui.Name(id + " reach", "Checkpoint.reach",
          !one.has_reach()      ? ""
          : one.reach().empty() ? "whole"
                                : one.reach(),
          200, one.reach().empty() ? ui.palette().good : ui.palette().warn);
}

void CheckpointsPanel::DrawRewindDialog(DrawContext& context) {
  Widgets& ui = context.ui;
  if (!ui.BeginDialog(kRewindTitle, ui.px(620))) return;
  ui.Text("rewind words",
          "The state is made anew from the nearest checkpoint at or before the slot. Until it has caught up, what is "
          "served now stays readable but applies nothing more; then everyone is switched at once.",
          0, true);
  ui.Input("rewind slot", &slot_text_, "slot", ui.px(200), ImGuiInputTextFlags_CharsDecimal);
  const std::optional<uint64_t> slot = ParseNumber(slot_text_);
  ImGui::SameLine();
  const api::Checkpoint* nearest = slot ? NearestUsable(context.model, *slot) : nullptr;
  if (!slot) {
    ui.Text("rewind from", "a slot is a whole number", ui.palette().dim);
  } else if (nearest) {
    ui.Text("rewind from", "from checkpoint " + nearest->name(), ui.palette().dim);
  } else {
    ui.Text("rewind from", "no usable checkpoint at or before it: the server will refuse", ui.palette().warn);
  }
  ui.Check("again", &again_, "Even if the present generation was made by the same rewind");
  ImGui::SameLine();
  ui.Check("accept a gap", &accept_gap_,
           "Even if slots are missing between the checkpoint and the head: they are lost");
  ImGui::Separator();
  ui.Text("rewind ask", "To confirm, type the slot once more:");
  const bool entered = ui.Input("rewind confirmation", &typed_, "slot", ui.px(200),
                                ImGuiInputTextFlags_EnterReturnsTrue | ImGuiInputTextFlags_CharsDecimal);
  const bool confirmed = slot && typed_ == slot_text_;
  ImGui::SameLine();
  const bool pressed = ui.Button("rewind now", "Rewind now", confirmed);
  ImGui::SameLine();
  const bool cancelled = ui.Cancel("rewind cancel");
  if (confirmed && (pressed || entered)) {
    context.client.ResumeFrom(*slot, again_, accept_gap_);
    ImGui::CloseCurrentPopup();
  } else if (cancelled) {
    ImGui::CloseCurrentPopup();
  }
  ImGui::EndPopup();
}

void CheckpointsPanel::DrawPruneDialog(DrawContext& context) {
  Widgets& ui = context.ui;
  if (!ui.BeginDialog(kPruneTitle, ui.px(560))) return;
  ui.Input("keep", &keep_text_, "how many to keep", ui.px(120), ImGuiInputTextFlags_CharsDecimal);
  const std::optional<uint64_t> keep = ParseNumber(keep_text_);
  const bool valid = keep && *keep > 0 && *keep <= UINT32_MAX;
  uint64_t whole = 0;  // a damaged one is neither counted nor deleted
  for (const api::Checkpoint& one : Listed(context.model)) whole += one.damage().empty();
  ImGui::SameLine();
  ui.Text("prune words",
          !valid ? "at least one is kept"
                 : "of " + Count(whole) + " are kept, the newest; " + Count(whole > *keep ? whole - *keep : 0) +
                       " are deleted for good",
          ui.palette().dim);
  const bool pressed = ui.Button("prune now", "Delete", valid && whole > *keep);
  ImGui::SameLine();
  if (ui.Cancel("prune cancel")) ImGui::CloseCurrentPopup();
  if (pressed) {
    context.client.PruneCheckpoints(static_cast<uint32_t>(*keep));
    ImGui::CloseCurrentPopup();
  }
  ImGui::EndPopup();
}

}  // namespace

std::unique_ptr<Panel> MakeCheckpointsPanel() { return std::make_unique<CheckpointsPanel>(); }

}  // namespace everstate::console
