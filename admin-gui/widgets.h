// What the panels draw with. Every function here draws one widget and, when recording is on, notes what it showed: the
// text in the record is the text that was drawn. Scripts find widgets by these names.
#pragma once

#include <imgui.h>

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin-gui/client/console_events.h"
#include "admin-gui/theme.h"

namespace everstate::console {

using MaybeText = std::optional<std::string>;  // of a value; empty: unknown

// The text of a value that is known.
template <typename Make>
MaybeText When(bool known, Make make) {
  return known ? MaybeText(make()) : std::nullopt;
}
template <typename Format>
MaybeText Shown(const std::optional<double>& value, Format format) {
  return value ? MaybeText(format(*value)) : std::nullopt;
}

struct Widget {
  std::string panel, name, kind, text;
  std::string metric;  // what is shown, by its name in proto/admin.proto; empty for what is no value of the server's
  bool enabled = true;
  bool stale = false;   // drawn grey, because it is not of now
  bool visible = true;  // not scrolled or clipped away
  ImVec2 min{}, max{};  // pixels of the window
};

// Widgets
//   Thread:    the one that draws, between ImGui::NewFrame and ImGui::Render.
//   Invariant: text of any length is cut to fit before it is drawn; the whole of it (up to 1,000 characters) is its
//              tooltip.
class Widgets {
 public:
  explicit Widgets(Theme* theme) : theme_(theme) {}

  void BeginFrame(Time now, bool record);
  void SetPanel(std::string_view panel) { panel_ = panel; }
  // Of which moment the values are that follow. Stale ones are grey.
  void SetSource(std::optional<Time> heard_at, bool stale) { heard_at_ = heard_at, stale_ = stale; }

  // A value of the server's, with its unit in the text; absent: unknown. Hovering says the metric and the age.
  void Value(std::string_view name, const char* metric, const MaybeText& text, ImU32 colour = 0);
  // The same with its name above it, in the next cell of a grid that BeginGrid began.
  void Tile(std::string_view name, const char* metric, const MaybeText& text, ImU32 colour = 0);
  bool BeginGrid(const char* id, int columns);
  void EndGrid();
  // A box with a border; 0 is all the room there is.
  template <typename Draw>
  void Card(const char* id, ImVec2 size, Draw draw, ImGuiWindowFlags flags = ImGuiWindowFlags_None) {
    ImGui::BeginChild(id, size, true, flags);
    draw();
    ImGui::EndChild();
  }
  // A table whose columns share the room by their weights, with its head. One that scrolls keeps the head in sight; the
  // heads of one that sorts are noted as "sort by NAME". True: draw the rows, then ImGui::EndTable.
  struct Column {
    const char* name;
    float weight;
  };
  bool BeginTable(const char* id, std::initializer_list<Column> columns, ImGuiTableFlags flags = ImGuiTableFlags_None,
                  ImVec2 size = {0, 0});
  // Draws the rows in sight, by their index. A height of 0 is measured.
  template <typename Draw>
  static void Rows(size_t count, float height, Draw draw) {
    ImGuiListClipper clipper;
    clipper.Begin(static_cast<int>(count), height > 0 ? height : -1);
    while (clipper.Step()) {
      for (int i = clipper.DisplayStart; i < clipper.DisplayEnd; ++i) draw(static_cast<size_t>(i));
    }
  }
  // A question in the middle of the window, which takes all input. True while it is open: draw it, then
  // ImGui::EndPopup.
  bool BeginDialog(const char* title, float width);
  // The button that gives up a dialog; so does Escape.
  bool Cancel(std::string_view name);
  // Text of any length from outside, cut to the room there is and to chars_max.
  void Name(std::string_view name, const char* metric, std::string_view text, size_t chars_max = 120, ImU32 colour = 0);
  // Text of ours.
  void Text(std::string_view name, std::string_view text, ImU32 colour = 0, bool wrapped = false);
  void Heading(std::string_view text);
  // A bar from 0 to `share` with the text on it; absent share: an empty track and the unknown sign.
  void Bar(std::string_view name, const char* metric, std::optional<double> share, std::string_view text, ImU32 colour);

  bool Button(std::string_view name, std::string_view label, bool enabled = true, const char* hint = nullptr);
  bool Check(std::string_view name, bool* value, const char* hint = nullptr);
  bool Input(std::string_view name, std::string* text, const char* hint, float width, int flags = 0);
  bool Choice(std::string_view name, const std::vector<std::string>& options, size_t* chosen, float width);
  bool Row(std::string_view name, std::string_view text, bool selected);  // spans the columns of its table

  // Notes the item that was drawn last, or a rectangle that a drawing filled.
  void NoteItem(std::string_view name, std::string_view kind, std::string_view text, const char* metric = "",
                bool enabled = true);
  void NoteRect(std::string_view name, std::string_view kind, std::string_view text, ImVec2 min, ImVec2 max,
                const char* metric = "");
  // Says the metric and the age of the current source when the item drawn last is hovered.
  void MetricTip(std::string_view name, const char* metric, std::string_view full = {});

  const Theme& theme() const { return *theme_; }
  const Palette& palette() const { return theme_->palette(); }
  float px(float pixels) const { return theme_->px(pixels); }
  Time now() const { return now_; }
  bool stale() const { return stale_; }
  const std::vector<Widget>& record() const { return record_; }  // of the frame drawn last

 private:
  ImU32 Colour(bool known, ImU32 wanted) const;
  std::string Fitting(std::string_view text, size_t chars_max) const;

  Theme* const theme_;
  Time now_{};
  bool recording_ = false, stale_ = false;
  std::optional<Time> heard_at_;
  std::string panel_;
  std::vector<Widget> record_;
};

// The record as JSON:
// {"widgets":[{"panel","name","kind","text","metric","enabled","stale","visible","rect":[x0,y0,x1,y1]}], "clipboard",
// "width", "height"}.
std::string WidgetDump(const std::vector<Widget>& widgets, std::string_view clipboard, int width, int height);

}  // namespace everstate::console
