// Stream health: is the stream alive, how far behind is it, where does the time go.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "admin-gui/format.h"
#include "admin-gui/panel.h"
#include "admin-gui/plot.h"

namespace everstate::console {
namespace {

constexpr std::chrono::seconds kPlotSpan{120};
constexpr uint64_t kLateSlots = 50;  // a lag beyond it is no breath of the provider any more

// The states of a connection as Status.stream.state names them, and where they stand in the drawing (in columns and
// rows): so that no arrow crosses another.
struct StateBox {
  const char* state;
  float column, row;
};
constexpr std::array<StateBox, 5> kStates = {{{"connecting", 1, 0},
                                              {"live", 1, 1},
                                              {"provider behind", 2, 0},
                                              {"waiting to reconnect", 0, 0},
                                              {"stopped", 2, 1}}};
// Any state may end in "stopped": one arrow stands for all.
struct StateArrow {
  size_t from, to;
};
constexpr std::array<StateArrow, 7> kArrows = {{{0, 1}, {0, 2}, {0, 3}, {3, 0}, {1, 3}, {2, 1}, {1, 4}}};

class StreamHealthPanel final : public Panel {
 public:
  const char* title() const override { return "Stream health"; }

  void Draw(DrawContext& context) override {
    Widgets& ui = context.ui;
    ui.SetSource(context.model.status_at(), context.model.stale(context.now));
    const float width = ImGui::GetContentRegionAvail().x;
    const float gap = ImGui::GetStyle().ItemSpacing.x;

    const float top_height = ui.px(154);
    ui.Card(
        "states", {width * 0.46f, top_height}, [&] { DrawStates(context); }, ImGuiWindowFlags_NoScrollbar);
    ImGui::SameLine();
    ui.Card("numbers", {0, top_height}, [&] { DrawNumbers(context); });

    // In a tall window the plots grow with the tables.
    const float more = std::max(0.0f, ImGui::GetContentRegionAvail().y - ui.px(490)) / 3;
    const float third = (width - 2 * gap) / 3;
    DrawSlots(ui, context.model.slots(), {width, ui.px(118) + more});
    const ConsoleModel& model = context.model;
    const auto slots = [](double value) { return Number(value) + (value == 1 ? " slot" : " slots"); };
    Draw3(context, {third, ui.px(112) + more},
          {{{"Lag in slots", "Status.store.lag_slots", &model.lag_slots(), slots, ui.palette().series[2]},
            {"Updates received", "Status.stages[receive].units, per second", &model.updates_per_s(), PerSecond,
             ui.palette().series[1]},
            {"Bytes from the stream", "Status.stream.bytes, per second", &model.stream_bytes_per_s(), BytesPerSecond,
             ui.palette().series[0]}}});

    ui.Card("stages", {width * 0.42f, 0}, [&] { DrawStages(context); });
    ImGui::SameLine();
    ui.Card("queues", {width * 0.27f, 0}, [&] { DrawQueues(context); });
    ImGui::SameLine();
    ui.Card("faults", {0, 0}, [&] {
      DrawGaps(context);
      ImGui::Spacing();
      DrawFaults(context);
    });
  }

 private:
  static void Draw3(DrawContext& context, ImVec2 size, const std::array<LinePlot, 3>& plots) {
    for (size_t i = 0; i < plots.size(); ++i) {
      if (i > 0) ImGui::SameLine();
      console::Draw(context.ui, plots[i], size, kPlotSpan);
    }
  }

  static void DrawStates(DrawContext& context);
  static void DrawNumbers(DrawContext& context);
  static void DrawStages(DrawContext& context);
  static void DrawQueues(DrawContext& context);
  static void DrawGaps(DrawContext& context);
  static void DrawFaults(DrawContext& context);
};

void Arrow(ImDrawList& draw, ImVec2 from, ImVec2 to, ImU32 colour, float head) {
  draw.AddLine(from, to, colour, head / 4);
  const float dx = to.x - from.x, dy = to.y - from.y;
  const float length = std::max(std::hypot(dx, dy), 1.0f);
  const ImVec2 along(dx / length * head, dy / length * head);
  draw.AddTriangleFilled(to, {to.x - along.x - along.y / 2, to.y - along.y + along.x / 2},
                         {to.x - along.x + along.y / 2, to.y - along.y - along.x / 2}, colour);
}

// From the edge of one box to the edge of another, whose upper left corners are a and b. The two ways between
// neighbours lie side by side.
std::pair<ImVec2, ImVec2> Ends(const StateArrow& arrow, ImVec2 a, ImVec2 b, ImVec2 box, float aside) {
  const bool both_ways = std::any_of(kArrows.begin(), kArrows.end(), [&](const StateArrow& other) {
    return other.from == arrow.to && other.to == arrow.from;
  });
  if (a.y == b.y) {
    const bool forth = b.x > a.x;
    const float y = a.y + box.y / 2 + (both_ways ? (forth ? -aside : aside) : 0);
    return {{forth ? a.x + box.x : a.x, y}, {forth ? b.x : b.x + box.x, y}};
  }
  const bool down = b.y > a.y;
  const float lean = b.x == a.x ? 0 : b.x < a.x ? -0.25f : 0.25f;  // of a box, towards the other
  return {{a.x + box.x * (0.5f + lean), down ? a.y + box.y : a.y},
          {b.x + box.x * (0.5f - lean), down ? b.y : b.y + box.y}};
}

ImU32 StateColour(const Palette& palette, std::string_view state) {
  if (state == "live") return palette.good;
  if (state == "stopped") return palette.bad;
  return palette.warn;
}

void StreamHealthPanel::DrawStates(DrawContext& context) {
  Widgets& ui = context.ui;
  const auto& status = context.model.status();
  const std::string state = status && status->has_stream() ? status->stream().state() : "";
  ui.Heading("Connection to the provider");
  ImDrawList& draw = *ImGui::GetWindowDrawList();
  const ImVec2 origin = ImGui::GetCursorScreenPos();
  const float room = ImGui::GetContentRegionAvail().x;
  const ImVec2 box(std::min(ui.px(148), room * 0.29f), ui.px(30));
  const ImVec2 step((room - box.x) / 2, ui.px(52));
  const auto corner = [&](const StateBox& one) {
    return ImVec2(origin.x + one.column * step.x, origin.y + one.row * step.y);
  };

  for (const StateArrow& arrow : kArrows) {
    const auto [from, to] = Ends(arrow, corner(kStates[arrow.from]), corner(kStates[arrow.to]), box, ui.px(5));
    Arrow(draw, from, to, ui.palette().dim, ui.px(7));
  }
  bool known = false;
  for (const StateBox& one : kStates) {
    const ImVec2 min = corner(one), max(min.x + box.x, min.y + box.y);
    const bool lit = state == one.state;
    known |= lit;
    const ImU32 colour = ui.stale() ? ui.palette().stale : StateColour(ui.palette(), one.state);
    draw.AddRectFilled(min, max, lit ? (colour & 0x00FFFFFF) | 0x38000000 : ui.palette().raised, ui.px(6));
    draw.AddRect(min, max, lit ? colour : ui.palette().grid, ui.px(6), 0, lit ? ui.px(2) : 1);
    const ImVec2 size = ImGui::CalcTextSize(one.state);
    draw.PushClipRect(min, max, true);
    draw.AddText({std::max(min.x + ui.px(4), (min.x + max.x - size.x) / 2), (min.y + max.y - size.y) / 2},
                 lit ? ui.palette().text : ui.palette().dim, one.state);
    draw.PopClipRect();
    ui.NoteRect(std::string("state ") + one.state, "state", lit ? "lit" : "dark", min, max, "Status.stream.state");
  }
  ImGui::SetCursorScreenPos({origin.x, origin.y + step.y + box.y + ui.px(9)});
  std::string line = ui.theme().unknown();
  if (!state.empty()) {
    const auto& states = context.model.stream_states();
    // Up to the newest status: what came after it nobody knows.
    line = state + " for " +
           Seconds(std::chrono::duration<double>(*context.model.status_at() - states.back().since).count());
    if (states.size() > 1) line += ", before that " + states[states.size() - 2].state;
    if (!known) line = "a state that this console does not know: " + line;
    if (!status->stream().error().empty()) line += ": " + status->stream().error();
  }
  ui.Name("stream state", "Status.stream.state", line, 300);
}

void StreamHealthPanel::DrawNumbers(DrawContext& context) {
  Widgets& ui = context.ui;
  const auto& status = context.model.status();
  const api::Stream* stream = status && status->has_stream() ? &status->stream() : nullptr;
  const api::Store* store = status && status->has_store() ? &status->store() : nullptr;
  const Rates& rates = context.model.rates();
  if (!ui.BeginGrid("numbers", std::clamp(static_cast<int>(ImGui::GetContentRegionAvail().x / ui.px(130)), 1, 4)))
    return;
  const bool lag_known = store && store->has_lag_slots();
  const ImU32 late = lag_known && store->lag_slots() > kLateSlots ? ui.palette().warn : 0;
  ui.Tile("lag", "Status.store.lag_slots", When(lag_known, [&] { return Counted(store->lag_slots(), "slot"); }), late);
  ui.Tile("lag in time", "Status.store.lag_seconds",
          When(store && store->has_lag_seconds(), [&] { return Seconds(store->lag_seconds()); }), late);
  ui.Tile("slot applied", "Status.store.slot",
          When(store && store->has_slot(), [&] { return std::to_string(store->slot()); }));
  ui.Tile("newest slot heard", "Status.stream.newest_slot",
          When(stream && stream->has_newest_slot(), [&] { return std::to_string(stream->newest_slot()); }));
  ui.Tile("last heard", "Status.stream.since_heard_ms", When(stream && stream->has_since_heard_ms(), [&] {
            return Seconds(static_cast<double>(stream->since_heard_ms()) / 1000) + " ago";
          }));
  ui.Tile("reconnects", "Status.stream.reconnects", When(stream, [&] { return Counted(stream->reconnects(), "time"); }),
          stream && stream->reconnects() ? ui.palette().warn : 0);
  ui.Tile("messages", "Status.stream.messages, per second", Shown(rates.messages_per_s, PerSecond));
  ui.Tile("blocks settled", "Status.stream.blocks_settled, per second", Shown(rates.blocks_per_s, PerSecond));
  ui.Tile("entities", "Status.store.entities", When(store, [&] { return Count(store->entities()) + " entities"; }));
  ui.Tile("store on disk", "Status.store.sst_bytes + wal_bytes",
          When(store, [&] { return Bytes(static_cast<double>(store->sst_bytes() + store->wal_bytes())); }));
  const bool archive = status && status->has_archive();
  ui.Tile(
      "archive", "Status.archive.bytes",
      When(store, [&] { return archive ? Bytes(static_cast<double>(status->archive().bytes())) : std::string("off"); }),
      archive && status->archive().failures() ? ui.palette().bad : 0);
  ui.Tile("sessions", "Status.sessions.sessions",
          When(status && status->has_sessions(), [&] { return Count(status->sessions().sessions()) + " open"; }));
  ui.EndGrid();
}

void StreamHealthPanel::DrawStages(DrawContext& context) {
  Widgets& ui = context.ui;
  ui.Heading("Stages");
  if (!ui.BeginTable("stages", {{"stage", 1.0f}, {"rate", 1.5f}, {"busy", 1.5f}, {"time each", 1.2f}})) return;
  for (const StageRate& stage : context.model.rates().stages) {
    const std::string name = Clip(stage.name, 60);
    const std::string metric = "Status.stages[" + name + "]";
    ImGui::TableNextRow();
    ImGui::TableNextColumn();
    ui.Name("stage " + name, (metric + ".name").c_str(), stage.name);
    ImGui::TableNextColumn();
    ui.Value(name + " rate", (metric + ".units, per second").c_str(),
             Shown(stage.per_s, [&](double rate) { return Number(rate) + " " + Clip(stage.unit, 20) + "/s"; }));
    ImGui::TableNextColumn();
    const ImU32 colour = stage.busy.value_or(0) > 0.8   ? ui.palette().bad
                         : stage.busy.value_or(0) > 0.5 ? ui.palette().warn
                                                        : ui.palette().good;
    ui.Bar(name + " busy", (metric + ".busy_us, share of the time").c_str(), stage.busy,
           stage.busy ? Percent(*stage.busy) : "", colour);
    ImGui::TableNextColumn();
    ui.Value(name + " time each", (metric + ".busy_us / units").c_str(),
             Shown(stage.us_per_unit, [](double us) { return Number(us) + " µs"; }));
  }
  ImGui::EndTable();
  if (context.model.rates().stages.empty()) ui.Text("no stages", ui.theme().unknown(), ui.palette().dim);
}

void StreamHealthPanel::DrawQueues(DrawContext& context) {
  Widgets& ui = context.ui;
  ui.Heading("Queues");
  const auto& status = context.model.status();
  if (!status || status->queues().empty()) return ui.Text("no queues", ui.theme().unknown(), ui.palette().dim);
  for (const api::Queue& queue : status->queues()) {
    const std::string name = Clip(queue.name(), 60);
    const double by_count =
        queue.count_max() ? static_cast<double>(queue.count()) / static_cast<double>(queue.count_max()) : 0;
    const double by_bytes =
        queue.bytes_max() ? static_cast<double>(queue.bytes()) / static_cast<double>(queue.bytes_max()) : 0;
    const double share = std::max(by_count, by_bytes);
    const ImU32 colour = share > 0.8 ? ui.palette().bad : share > 0.5 ? ui.palette().warn : ui.palette().accent;
    const bool limited = queue.count_max() || queue.bytes_max();
    ui.Name("queue " + name, ("Status.queues[" + name + "]").c_str(), queue.name());
    ui.Bar(name + " fill", ("Status.queues[" + name + "].count, bytes").c_str(),
           limited ? std::optional(share) : std::nullopt,
           Count(queue.count()) + " of " + Count(queue.count_max()) + ", " + Bytes(static_cast<double>(queue.bytes())) +
               " of " + Bytes(static_cast<double>(queue.bytes_max())),
           colour);
  }
}

void StreamHealthPanel::DrawGaps(DrawContext& context) {
  Widgets& ui = context.ui;
  const auto& status = context.model.status();
  ui.Heading("Gaps");
  const bool known = status && status->has_store(), any = status && !status->gaps().empty();
  uint64_t missing = 0;
  if (any) {
    for (const api::Gap& gap : status->gaps()) missing += SlotsMissing(gap.from(), gap.to());
  }
  ui.Value("gaps", "Status.gaps",
           When(known,
                [&] {
                  const bool all = status->gaps_total() == static_cast<uint64_t>(status->gaps_size());
                  return any ? Counted(status->gaps_total(), "gap") + (all ? ", " : ", at least ") +
                                   Counted(missing, "slot") + " missing"
                             : std::string("none");
                }),
           any ? ui.palette().warn : ui.palette().good);
  if (!status) return;
  for (int i = status->gaps_size(); i-- > 0;) {  // the newest first
    const api::Gap& gap = status->gaps(i);
    ui.Name("gap " + std::to_string(status->gaps_size() - 1 - i), "Status.gaps",
            GapSlots(gap.from(), gap.to()) + ": " + gap.cause(), 300, ui.palette().warn);
  }
}

void StreamHealthPanel::DrawFaults(DrawContext& context) {
  Widgets& ui = context.ui;
  const auto& status = context.model.status();
  ui.Heading("Faults");
  ui.Value("faults", "Status.faults",
           When(status && status->has_store(), [&] { return Counted(status->faults(), "operation") + " skipped"; }),
           status && status->faults() ? ui.palette().warn : 0);
  if (!status) return;
  for (int i = 0; i < status->fault_kinds_size(); ++i) {
    const api::Fault& fault = status->fault_kinds(i);
    ui.Name("fault " + std::to_string(i), "Status.fault_kinds",
            Count(fault.count()) + " × " + fault.entity() + ", " + fault.handler() + ": " + fault.reason() + " (" +
                fault.sample() + ")",
            300);
  }
}

}  // namespace

std::unique_ptr<Panel> MakeStreamHealthPanel() { return std::make_unique<StreamHealthPanel>(); }

}  // namespace everstate::console
