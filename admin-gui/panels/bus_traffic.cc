// Bus traffic: what goes out to listeners, live. Hidden or paused, the panel costs the server nothing: its request says
// so.
#include <GLFW/glfw3.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "admin-gui/format.h"
#include "admin-gui/panel.h"
#include "admin-gui/tail_filter.h"

namespace everstate::console {
namespace {

constexpr std::array<const char*, 3> kOps = {"patch", "upsert", "delete"};
struct Sampling {
  const char* label;
  uint32_t max_frames_per_second;
};
constexpr std::array<Sampling, 4> kSampling = {
    {{"up to 200 frames/s", 200}, {"up to 20 frames/s", 20}, {"up to 2,000 frames/s", 2000}, {"all frames", 0}}};
constexpr size_t kPrettyBytesMax = 4u << 20;
constexpr size_t kLineCharsMax = 2000;
constexpr size_t kNotedCharsMax = 4000;
constexpr char kAllViews[] = "all views";

// The rows of the tail that pass a filter, kept up as rows come and go.
class Matching {
 public:
  // How many matching rows fell out at the front.
  size_t Follow(const Tail& tail, const TailFilter& filter, bool filter_changed) {
    if (filter_changed) {
      ids_.clear();
      seen_ = 0;
    }
    size_t gone = 0;
    while (!ids_.empty() && ids_.front() < tail.first_id()) {
      ids_.pop_front();
      ++gone;
    }
    for (seen_ = std::max(seen_, tail.first_id()); seen_ < tail.next_id(); ++seen_) {
      if (filter.Matches(tail.Find(seen_)->frame)) ids_.push_back(seen_);
    }
    return gone;
  }
  const std::deque<uint64_t>& ids() const { return ids_; }

 private:
  std::deque<uint64_t> ids_;
  uint64_t seen_ = 0;
};

class BusTrafficPanel final : public Panel {
 public:
  const char* title() const override { return "Bus traffic"; }

  void Draw(DrawContext& context) override {
    DrawFilter(context);
    Ask(context, paused_);
    DrawViews(context);
    const float width = ImGui::GetContentRegionAvail().x;
    context.ui.Card(
        "tail", {width * 0.6f, 0}, [&] { DrawTail(context); }, ImGuiWindowFlags_NoScrollbar);
    ImGui::SameLine();
    context.ui.Card("frame", {0, 0}, [&] { DrawFrame(context); });
  }

  void Hidden(DrawContext& context) override {
    if (!asked_.empty()) Ask(context, true);
  }

 private:
  void DrawFilter(DrawContext& context);
  void TakeFilter(const std::vector<std::string>& views);
  void DrawViews(DrawContext& context);
  static void DrawView(Widgets& ui, size_t row, const ViewRate& view);
  void DrawTail(DrawContext& context);
  void DrawRows(DrawContext& context, size_t gone);
  void DrawRow(Widgets& ui, const TailRow& row, float height);
  void DrawFrame(DrawContext& context);

  void Ask(DrawContext& context, bool paused) {
    api::TailRequest request = filter_.Request(kSampling[sampling_].max_frames_per_second, paused);
    if (std::none_of(ops_.begin(), ops_.end(), [](bool on) { return on; })) {
      request.clear_ops();
      request.set_paused(true);  // nothing is wanted
    }
    std::string text = request.SerializeAsString() + '.';
    if (text == asked_) return;
    asked_ = std::move(text);
    context.client.SetTail(request);
  }

  void Select(const TailRow& row) {
    selected_ = row.id;
    frame_ = row.frame;
    pretty_ =
        frame_.json().size() > kPrettyBytesMax ? frame_.json().substr(0, kPrettyBytesMax) : PrettyJson(frame_.json());
    lines_.clear();
    for (std::string_view rest = pretty_; !rest.empty();) {
      const size_t end = rest.find('\n');
      lines_.push_back(rest.substr(0, end));
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
  }

  // What the user chose.
  bool paused_ = false;
  size_t view_ = 0, sampling_ = 0;
  std::string key_, text_;
  std::array<bool, kOps.size()> ops_{true, true, true};
  TailFilter filter_;

  std::string asked_;  // the newest request sent, serialised; empty: none
  Matching matching_;
  bool filter_changed_ = false, following_ = true, to_end_ = false;
  std::optional<uint64_t> selected_;
  api::TailFrame frame_;
  std::string pretty_;
  std::vector<std::string_view> lines_;
};

void BusTrafficPanel::DrawFilter(DrawContext& context) {
  Widgets& ui = context.ui;
  const bool ctrl = ImGui::GetIO().KeyCtrl;
  if (ui.Button("pause", paused_ ? "Resume" : "Pause", true, "Ctrl+P. While paused the server sends nothing") ||
      (ctrl && ImGui::IsKeyPressed(GLFW_KEY_P, false)))
    paused_ = !paused_;

  std::vector<std::string> views{kAllViews};
  if (context.model.info()) {
    for (const api::View& view : context.model.info()->views()) {
      if (view.unsupported().empty()) views.push_back(view.id());
    }
  } else {
    for (const ViewRate& view : context.model.rates().views) views.push_back(view.id);
  }
  // The chosen view is kept by its name: another server may list them in another order.
  view_ = 0;
  for (size_t i = 1; i < views.size(); ++i) {
    if (views[i] == filter_.view) view_ = i;
  }
  if (!filter_.view.empty() && view_ == 0) {
    views.push_back(filter_.view);
    view_ = views.size() - 1;
  }
  ImGui::SameLine();
  bool changed = ui.Choice("view", views, &view_, ui.px(170));
  ImGui::SameLine();
  changed |= ui.Input("key", &key_, "key (exact)", ui.px(170));
  std::vector<std::string> sampling;
  sampling.reserve(kSampling.size());
  for (const Sampling& one : kSampling) sampling.emplace_back(one.label);
  const float sampling_width = ui.px(176);
  const bool two_lines = ImGui::GetWindowWidth() < ui.px(1000);
  if (two_lines) {
    ImGui::SameLine();
    changed |= ui.Choice("sampling", sampling, &sampling_, sampling_width);
  }
  for (size_t i = 0; i < kOps.size(); ++i) {
    if (i > 0 || !two_lines) ImGui::SameLine(0, i == 0 ? -1 : ui.px(6));
    changed |= ui.Check(kOps[i], &ops_[i]);
  }
  ImGui::SameLine();
  if (ctrl && ImGui::IsKeyPressed(GLFW_KEY_F, false)) ImGui::SetKeyboardFocusHere();
  const float room = ImGui::GetContentRegionAvail().x - (two_lines ? 0 : sampling_width + ui.px(10));
  changed |= ui.Input("text filter", &text_, "text: a, b, -not this  (Ctrl+F)", std::max(ui.px(140), room));
  if (!two_lines) {
    ImGui::SameLine();
    changed |= ui.Choice("sampling", sampling, &sampling_, sampling_width);
  }
  if (changed) TakeFilter(views);
}

void BusTrafficPanel::TakeFilter(const std::vector<std::string>& views) {
  filter_.view = view_ == 0 ? "" : views[view_];
  filter_.key = key_;
  filter_.text = TextFilter(text_);
  filter_.ops.clear();
  if (!std::all_of(ops_.begin(), ops_.end(), [](bool on) { return on; })) {
    for (size_t i = 0; i < kOps.size(); ++i) {
      if (ops_[i]) filter_.ops.emplace_back(kOps[i]);
    }
    if (filter_.ops.empty()) filter_.ops.emplace_back();  // no frame has this op, while no op at all would mean any
  }
  filter_changed_ = true;
}

// By the column that was clicked; in the server's order until then.
void SortAsAsked(std::vector<const ViewRate*>* rows) {
  const ImGuiTableSortSpecs* specs = ImGui::TableGetSortSpecs();
  if (!specs || specs->SpecsCount == 0) return;
  const int column = specs->Specs[0].ColumnIndex;
  const bool down = specs->Specs[0].SortDirection == ImGuiSortDirection_Descending;
  const auto number = [column](const ViewRate& view) {
    switch (column) {
      case 1:
        return view.frames_per_s.value_or(-1);
      case 2:
        return view.bytes_per_s.value_or(-1);
      case 3:
        return static_cast<double>(view.frames);
      case 4:
        return static_cast<double>(view.bytes);
      default:
        return static_cast<double>(view.listeners);
    }
  };
  std::stable_sort(rows->begin(), rows->end(), [&](const ViewRate* a, const ViewRate* b) {
    if (down) std::swap(a, b);
    return column == 0 ? a->id < b->id : number(*a) < number(*b);
  });
}

void BusTrafficPanel::DrawViews(DrawContext& context) {
  Widgets& ui = context.ui;
  ui.SetSource(context.model.status_at(), context.model.stale(context.now));
  std::vector<const ViewRate*> rows;
  for (const ViewRate& view : context.model.rates().views) rows.push_back(&view);
  const float height = std::min(ui.px(30) + ui.px(24) * static_cast<float>(std::clamp<size_t>(rows.size() + 1, 3, 7)),
                                ImGui::GetContentRegionAvail().y * 0.4f);
  ui.Card("views", {0, height}, [&] {
    if (!ui.BeginTable("views",
                       {{"view", 2.2f}, {"frames/s", 1}, {"bytes/s", 1}, {"frames", 1}, {"bytes", 1}, {"listeners", 1}},
                       ImGuiTableFlags_Sortable | ImGuiTableFlags_SortTristate | ImGuiTableFlags_ScrollY))
      return;
    SortAsAsked(&rows);
    ui.Rows(rows.size(), 0, [&](size_t i) { DrawView(ui, i, *rows[i]); });
    ImGui::EndTable();
  });
}

void BusTrafficPanel::DrawView(Widgets& ui, size_t row, const ViewRate& view) {
  const std::string id = Clip(view.id, 60);
  ImGui::TableNextRow();
  ImGui::TableNextColumn();
  ui.Name("view " + std::to_string(row), "Status.views.id", view.id);
  ImGui::TableNextColumn();
  ui.Value(id + " frames/s", "Status.views.frames, per second", Shown(view.frames_per_s, PerSecond));
  ImGui::TableNextColumn();
  ui.Value(id + " bytes/s", "Status.views.bytes, per second", Shown(view.bytes_per_s, BytesPerSecond));
  ImGui::TableNextColumn();
  ui.Value(id + " frames", "Status.views.frames", Counted(view.frames, "frame"));
  ImGui::TableNextColumn();
  ui.Value(id + " bytes", "Status.views.bytes", Bytes(static_cast<double>(view.bytes)));
  ImGui::TableNextColumn();
  ui.Value(id + " listeners", "Status.views.listeners", Count(view.listeners) + " open");
}

void BusTrafficPanel::DrawTail(DrawContext& context) {
  Widgets& ui = context.ui;
  const Tail& tail = context.model.tail();
  const size_t gone = matching_.Follow(tail, filter_, std::exchange(filter_changed_, false));
  const bool lost = context.model.link().state != Link::State::kUp;
  ui.SetSource(tail.heard_at, lost);

  std::string state = ui.theme().unknown();
  ImU32 colour = ui.palette().dim;
  if (lost) {
    state = "no server";
  } else if (!tail.error.empty()) {
    state = "no tail: " + tail.error;
    colour = ui.palette().bad;
  } else if (tail.paused) {
    state = *tail.paused ? "paused at the server" : "live";
    colour = *tail.paused ? ui.palette().warn : ui.palette().good;
  }
  // The button stands at the right; the texts take as many lines as they need beside it.
  const float left = ImGui::GetCursorPosX(), right = ImGui::GetWindowContentRegionMax().x - ui.px(82);
  const auto next = [right](const std::string& text) {
    ImGui::SameLine();
    if (ImGui::GetCursorPosX() + ImGui::CalcTextSize(text.c_str()).x > right) ImGui::NewLine();
  };
  ImGui::SetCursorPosX(right);
  ui.SetSource(tail.heard_at, false);
  to_end_ = ui.Button("follow", following_ ? "following" : "to the end", !following_,
                      "The list follows while it is scrolled to its end");
  ui.SetSource(tail.heard_at, lost);
  ImGui::SameLine(left);
  ui.Text("tail state", Clip(state, 60), colour);
  const std::string rows = Count(matching_.ids().size()) + " of " + Count(tail.rows().size()) + " rows kept";
  next(rows);
  ui.Text("rows", rows, ui.palette().dim);
  std::string skipped = Counted(tail.skipped_by_sampling, "frame") + " not sampled";
  next(skipped);
  ui.Value("skipped", "TailChunk.skipped_by_sampling", When(tail.heard_at.has_value(), [&] { return skipped; }),
           ui.palette().dim);
  std::string missed = Count(tail.missed) + (tail.missed == 1 ? " batch missed" : " batches missed");
  next(missed);
  ui.Value("missed", "TailChunk.missed", When(tail.heard_at.has_value(), [&] { return missed; }),
           tail.missed ? ui.palette().warn : ui.palette().dim);
  DrawRows(context, gone);
}

void BusTrafficPanel::DrawRows(DrawContext& context, size_t gone) {
  Widgets& ui = context.ui;
  const Tail& tail = context.model.tail();
  const auto& ids = matching_.ids();
  if (!ui.BeginTable("frames",
                     {{"time", 1.15f}, {"view", 1.5f}, {"key", 2.0f}, {"op", 0.7f}, {"number", 0.9f}, {"size", 0.8f}},
                     ImGuiTableFlags_ScrollY | ImGuiTableFlags_Resizable, ImGui::GetContentRegionAvail()))
    return;
  const float row_height = ImGui::GetTextLineHeight() + 2 * ImGui::GetStyle().CellPadding.y;
  following_ = to_end_ || ImGui::GetScrollY() >= ImGui::GetScrollMaxY() - 1;
  // Rows that fall out at the front must not move what is being read.
  if (!following_ && gone > 0)
    ImGui::SetScrollY(std::max(0.0f, ImGui::GetScrollY() - static_cast<float>(gone) * row_height));
  ui.Rows(ids.size(), row_height, [&](size_t i) { DrawRow(ui, *tail.Find(ids[i]), row_height); });
  if (following_) ImGui::SetScrollHereY(1.0f);
  const ImVec2 at = ImGui::GetWindowPos(), size = ImGui::GetWindowSize();
  ui.NoteRect("frames", "list", Count(ids.size()) + " rows", at, {at.x + size.x, at.y + size.y});
  ImGui::EndTable();
}

void BusTrafficPanel::DrawRow(Widgets& ui, const TailRow& row, float height) {
  const std::string id = "frame " + std::to_string(row.id);
  ImGui::TableNextRow(0, height);
  ImGui::TableNextColumn();
  ImGui::PushID(static_cast<int>(row.id & 0x7FFFFFFF));
  if (ui.Row(id, TimeOfDay(row.frame.at_unix_ms()), selected_ == row.id)) Select(row);
  ImGui::TableNextColumn();
  ui.Name(id + " view", "", row.frame.view(), 60);
  ImGui::TableNextColumn();
  ui.Name(id + " key", "", row.frame.key(), 60);
  ImGui::TableNextColumn();
  const ImU32 colour = row.frame.op() == "delete"  ? ui.palette().bad
                       : row.frame.op() == "patch" ? ui.palette().accent
                                                   : ui.palette().good;
  ui.Name(id + " op", "", row.frame.op(), 20, colour);
  ImGui::TableNextColumn();
  ui.Name(id + " number", "", std::to_string(row.frame.number()), 20);
  ImGui::TableNextColumn();
  ui.Name(id + " size", "", Bytes(static_cast<double>(row.frame.json().size())), 20);
  ImGui::PopID();
}

void BusTrafficPanel::DrawFrame(DrawContext& context) {
  Widgets& ui = context.ui;
  ui.SetSource(std::nullopt, false);
  ImGui::AlignTextToFramePadding();
  ui.Heading("Frame");
  if (!selected_) return ui.Text("no frame", "Choose a frame in the list to read it here.", ui.palette().dim, true);
  ImGui::SameLine(ImGui::GetWindowContentRegionMax().x - ui.px(92));
  if (ui.Button("copy", "Copy JSON", true, "The frame as it went out, unchanged"))
    ImGui::SetClipboardText(frame_.json().c_str());
  ui.Name("frame view", "", frame_.view(), 100);
  ui.Name("frame key", "", frame_.key(), 100, ui.palette().accent);
  ui.Name("frame facts", "",
          frame_.op() + ", number " + Count(frame_.number()) + ", " + TimeOfDay(frame_.at_unix_ms()) + ", " +
              Bytes(static_cast<double>(frame_.json().size())),
          200);
  if (frame_.json().size() > kPrettyBytesMax)
    ui.Text("frame cut", "Only the first " + Bytes(kPrettyBytesMax) + " are shown; the copy has all of it.",
            ui.palette().warn, true);
  if (frame_.json().empty())
    return ui.Text("frame cut", "The frame is too large for the tail; the server left its JSON out.", ui.palette().warn,
                   true);
  ImGui::Separator();
  ImGui::BeginChild("json", {0, 0}, false, ImGuiWindowFlags_HorizontalScrollbar);
  ImGui::PushFont(ui.theme().mono());
  ui.Rows(lines_.size(), 0, [&](size_t i) { ImGui::TextUnformatted(Clip(lines_[i], kLineCharsMax).c_str()); });
  ImGui::PopFont();
  const ImVec2 at = ImGui::GetWindowPos(), size = ImGui::GetWindowSize();
  ui.NoteRect("frame json", "json", std::string_view(pretty_).substr(0, kNotedCharsMax), at,
              {at.x + size.x, at.y + size.y});
  ImGui::EndChild();
}

}  // namespace

std::unique_ptr<Panel> MakeBusTrafficPanel() { return std::make_unique<BusTrafficPanel>(); }

}  // namespace everstate::console
