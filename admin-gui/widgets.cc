#include "admin-gui/widgets.h"

#include <imgui_stdlib.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "admin-gui/format.h"

namespace everstate::console {
namespace {

constexpr size_t kTipCharsMax = 1000;
constexpr size_t kInputBytesMax = 1000;

std::string Id(std::string_view label, std::string_view name) { return std::string(label) + "##" + std::string(name); }

}  // namespace

void Widgets::BeginFrame(Time now, bool record) {
  now_ = now;
  recording_ = record;
  record_.clear();
}

ImU32 Widgets::Colour(bool known, ImU32 wanted) const {
  if (stale_) return palette().stale;
  if (!known) return palette().dim;
  return wanted ? wanted : palette().text;
}

// The longest beginning that fits; a halving search, because texts may be thousands of characters long.
std::string Widgets::Fitting(std::string_view text, size_t chars_max) const {
  std::string shown = Clip(text, chars_max);
  const float room = std::max(ImGui::GetContentRegionAvail().x, px(24));
  if (ImGui::CalcTextSize(shown.c_str()).x <= room) return shown;
  size_t fits = 1, too_many = std::min(chars_max, shown.size());
  while (fits + 1 < too_many) {
    const size_t middle = (fits + too_many) / 2;
    (ImGui::CalcTextSize(Clip(text, middle).c_str()).x <= room ? fits : too_many) = middle;
  }
  return Clip(text, fits);
}

void Widgets::NoteItem(std::string_view name, std::string_view kind, std::string_view text, const char* metric,
                       bool enabled) {
  if (!recording_) return;
  Widget widget{.panel = panel_,
                .name = std::string(name),
                .kind = std::string(kind),
                .text = std::string(text),
                .metric = metric,
                .enabled = enabled,
                .stale = stale_ && *metric != '\0',
                .visible = ImGui::IsItemVisible(),
                .min = ImGui::GetItemRectMin(),
                .max = ImGui::GetItemRectMax()};
  record_.push_back(std::move(widget));
}

void Widgets::NoteRect(std::string_view name, std::string_view kind, std::string_view text, ImVec2 min, ImVec2 max,
                       const char* metric) {
  if (!recording_) return;
  record_.push_back({.panel = panel_,
                     .name = std::string(name),
                     .kind = std::string(kind),
                     .text = std::string(text),
                     .metric = metric,
                     .stale = stale_ && *metric != '\0',
                     .visible = ImGui::IsRectVisible(min, max),
                     .min = min,
                     .max = max});
}

void Widgets::MetricTip(std::string_view name, const char* metric, std::string_view full) {
  if (!ImGui::IsItemHovered()) return;
  std::string tip;
  if (!full.empty()) {
    tip = Clip(full, kTipCharsMax);
    if (full.size() > kTipCharsMax) tip += "  (" + Count(full.size()) + " bytes)";
  }
  if (*metric) {
    if (!tip.empty()) tip += "\n";
    tip += metric;
    tip += heard_at_ ? ", " + Seconds(std::chrono::duration<double>(now_ - *heard_at_).count()) + " old"
                     : ", not heard yet";
  }
  if (tip.empty()) return;
  ImGui::BeginTooltip();
  ImGui::PushTextWrapPos(px(520));
  ImGui::TextUnformatted(tip.c_str());
  ImGui::PopTextWrapPos();
  NoteItem(name, "tooltip", tip);
  ImGui::EndTooltip();
}

void Widgets::Value(std::string_view name, const char* metric, const MaybeText& text, ImU32 colour) {
  const std::string shown = Fitting(text ? *text : theme_->unknown(), 200);
  ImGui::PushStyleColor(ImGuiCol_Text, Colour(text.has_value(), colour));
  ImGui::TextUnformatted(shown.c_str());
  ImGui::PopStyleColor();
  NoteItem(name, "value", shown, metric);
  MetricTip(name, metric, text && shown != *text ? std::string_view(*text) : std::string_view());
}

bool Widgets::BeginGrid(const char* id, int columns) {
  return ImGui::BeginTable(id, columns, ImGuiTableFlags_SizingStretchSame);
}
void Widgets::EndGrid() { ImGui::EndTable(); }

bool Widgets::BeginTable(const char* id, std::initializer_list<Column> columns, ImGuiTableFlags flags, ImVec2 size) {
  constexpr ImGuiTableFlags kAlways =
      ImGuiTableFlags_RowBg | ImGuiTableFlags_SizingStretchProp | ImGuiTableFlags_PadOuterX;
  if (!ImGui::BeginTable(id, static_cast<int>(columns.size()), flags | kAlways, size)) return false;
  if (flags & ImGuiTableFlags_ScrollY) ImGui::TableSetupScrollFreeze(0, 1);
  for (const Column& column : columns) {
    // Numbers begin with the largest.
    const bool first = &column == columns.begin();
    ImGui::TableSetupColumn(
        column.name, first ? ImGuiTableColumnFlags_None : ImGuiTableColumnFlags_PreferSortDescending, column.weight);
  }
  ImGui::TableNextRow(ImGuiTableRowFlags_Headers);
  for (const Column& column : columns) {
    ImGui::TableNextColumn();
    ImGui::TableHeader(column.name);
    if (flags & ImGuiTableFlags_Sortable) NoteItem(std::string("sort by ") + column.name, "header", column.name);
  }
  return true;
}

bool Widgets::BeginDialog(const char* title, float width) {
  ImGui::SetNextWindowSize({width, 0});
  ImGui::SetNextWindowPos(ImGui::GetMainViewport()->GetCenter(), ImGuiCond_Appearing, {0.5f, 0.5f});
  return ImGui::BeginPopupModal(title, nullptr, ImGuiWindowFlags_NoResize);
}

bool Widgets::Cancel(std::string_view name) {
  return Button(name, "Cancel") || ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_Escape));
}

void Widgets::Tile(std::string_view name, const char* metric, const MaybeText& text, ImU32 colour) {
  ImGui::TableNextColumn();
  ImGui::PushStyleColor(ImGuiCol_Text, palette().dim);
  ImGui::TextUnformatted(Fitting(name, 60).c_str());
  ImGui::PopStyleColor();
  ImGui::SetCursorPosY(ImGui::GetCursorPosY() - px(4));
  ImGui::PushFont(theme_->big());
  Value(name, metric, text, colour);
  ImGui::PopFont();
}

void Widgets::Name(std::string_view name, const char* metric, std::string_view text, size_t chars_max, ImU32 colour) {
  const std::string shown = text.empty() ? theme_->unknown() : Fitting(text, chars_max);
  ImGui::PushStyleColor(ImGuiCol_Text, Colour(!text.empty(), colour));
  ImGui::TextUnformatted(shown.c_str());
  ImGui::PopStyleColor();
  NoteItem(name, "name", shown, metric);
  MetricTip(name, metric, shown != text ? text : std::string_view());
}

void Widgets::Text(std::string_view name, std::string_view text, ImU32 colour, bool wrapped) {
  const std::string shown = wrapped ? Clip(text, 2000) : Fitting(text, 400);
  ImGui::PushStyleColor(ImGuiCol_Text, colour ? colour : palette().text);
  if (wrapped) ImGui::PushTextWrapPos(0);
  ImGui::TextUnformatted(shown.c_str());
  if (wrapped) ImGui::PopTextWrapPos();
  ImGui::PopStyleColor();
  NoteItem(name, "text", shown);
  if (!wrapped && shown != text) MetricTip(name, "", text);
}

void Widgets::Heading(std::string_view text) {
  ImGui::PushFont(theme_->bold());
  ImGui::TextUnformatted(text.data(), text.data() + text.size());
  ImGui::PopFont();
  NoteItem(text, "heading", text);
}

void Widgets::Bar(std::string_view name, const char* metric, std::optional<double> share, std::string_view text,
                  ImU32 colour) {
  const ImVec2 at = ImGui::GetCursorScreenPos();
  const ImVec2 size(std::max(ImGui::GetContentRegionAvail().x, px(30)), ImGui::GetTextLineHeight() + px(2));
  ImGui::Dummy(size);
  ImDrawList& draw = *ImGui::GetWindowDrawList();
  const ImVec2 end(at.x + size.x, at.y + size.y);
  draw.AddRectFilled(at, end, palette().track, px(3));
  if (share) {
    const float width = size.x * static_cast<float>(std::clamp(*share, 0.0, 1.0));
    if (width > 0)
      draw.AddRectFilled(at, {at.x + std::max(width, px(2)), end.y}, (Colour(true, colour) & 0x00FFFFFF) | 0x90000000,
                         px(3));
  }
  const std::string shown = share ? Clip(text, 60) : theme_->unknown();
  draw.PushClipRect(at, end, true);
  draw.AddText({at.x + px(6), at.y + px(1)}, Colour(share.has_value(), 0), shown.c_str());
  draw.PopClipRect();
  NoteItem(name, "bar", shown, metric);
  MetricTip(name, metric);
}

bool Widgets::Button(std::string_view name, std::string_view label, bool enabled, const char* hint) {
  ImGui::BeginDisabled(!enabled);
  const bool pressed = ImGui::Button(Id(label, name).c_str());
  ImGui::EndDisabled();
  NoteItem(name, "button", label, "", enabled);
  if (hint && ImGui::IsItemHovered(ImGuiHoveredFlags_AllowWhenDisabled)) ImGui::SetTooltip("%s", hint);
  return pressed;
}

bool Widgets::Check(std::string_view name, bool* value, const char* hint) {
  const bool changed = ImGui::Checkbox(std::string(name).c_str(), value);
  NoteItem(name, "check", *value ? "on" : "off");
  if (hint && ImGui::IsItemHovered()) ImGui::SetTooltip("%s", hint);
  return changed;
}

bool Widgets::Input(std::string_view name, std::string* text, const char* hint, float width, int flags) {
  ImGui::SetNextItemWidth(width);
  const bool changed = ImGui::InputTextWithHint(Id("", name).c_str(), hint, text, flags);
  if (text->size() > kInputBytesMax) {
    // Between two characters: half of one is no UTF-8, and a server takes no message that has it.
    size_t end = kInputBytesMax;
    while (end > 0 && (static_cast<unsigned char>((*text)[end]) & 0xC0) == 0x80) --end;
    text->resize(end);
  }
  NoteItem(name, "input", *text);
  return changed;
}

bool Widgets::Choice(std::string_view name, const std::vector<std::string>& options, size_t* chosen, float width) {
  if (*chosen >= options.size()) *chosen = 0;
  ImGui::SetNextItemWidth(width);
  const std::string shown = options.empty() ? "" : Clip(options[*chosen], 60);
  const bool open = ImGui::BeginCombo(Id("", name).c_str(), shown.c_str());
  NoteItem(name, "choice", shown);
  if (!open) return false;
  bool changed = false;
  for (size_t i = 0; i < options.size(); ++i) {
    ImGui::PushID(static_cast<int>(i));
    if (ImGui::Selectable(Clip(options[i], 60).c_str(), i == *chosen)) {
      changed = i != *chosen;
      *chosen = i;
    }
    NoteItem(std::string(name) + "=" + Clip(options[i], 60), "option", Clip(options[i], 60));
    ImGui::PopID();
  }
  ImGui::EndCombo();
  return changed;
}

bool Widgets::Row(std::string_view name, std::string_view text, bool selected) {
  const std::string shown = Fitting(text, 120);
  if (stale_) ImGui::PushStyleColor(ImGuiCol_Text, palette().stale);
  const bool pressed = ImGui::Selectable(Id(shown, name).c_str(), selected,
                                         ImGuiSelectableFlags_SpanAllColumns | ImGuiSelectableFlags_AllowItemOverlap);
  if (stale_) ImGui::PopStyleColor();
  NoteItem(name, "row", shown);
  if (shown != text) MetricTip(name, "", text);
  return pressed;
}

std::string WidgetDump(const std::vector<Widget>& widgets, std::string_view clipboard, int width, int height) {
  nlohmann::ordered_json json;
  json["width"] = width;
  json["height"] = height;
  json["clipboard"] = clipboard;
  json["widgets"] = nlohmann::ordered_json::array();
  for (const Widget& w : widgets) {
    json["widgets"].push_back({{"panel", w.panel},
                               {"name", w.name},
                               {"kind", w.kind},
                               {"text", w.text},
                               {"metric", w.metric},
                               {"enabled", w.enabled},
                               {"stale", w.stale},
                               {"visible", w.visible},
                               {"rect", {w.min.x, w.min.y, w.max.x, w.max.y}}});
  }
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace everstate::console
