// How the console looks: colours, sizes, fonts. Dark by default, and light.
#pragma once

#include <imgui.h>

#include <string>

namespace everstate::console {

struct Palette {
  ImU32 text, dim, stale, accent, good, warn, bad, grid, panel, raised, track;
  ImU32 series[4];
};

// Theme
//   Thread: the one that draws; after ImGui::CreateContext.
class Theme {
 public:
  // `fonts_dir`: where DejaVuSans.ttf and its siblings lie; empty: the usual folders are searched.
  explicit Theme(std::string fonts_dir) : fonts_dir_(std::move(fonts_dir)) {}

  // Sets style and fonts; the renderer's font texture must be made anew afterwards.
  void Apply(bool light, float scale);

  bool light() const { return light_; }
  float scale() const { return scale_; }
  float px(float pixels) const { return pixels * scale_; }
  const Palette& palette() const { return palette_; }
  ImFont* bold() const { return bold_; }
  ImFont* big() const { return big_; }
  ImFont* mono() const { return mono_; }
  // What an unknown value shows: "—", or "-" when no font was found that has it.
  const char* unknown() const { return has_dash_ ? "—" : "-"; }
  bool has_dash() const { return has_dash_; }

 private:
  void LoadFonts();

  std::string fonts_dir_;
  bool light_ = false, has_dash_ = false;
  float scale_ = 1;
  Palette palette_{};
  ImFont *bold_ = nullptr, *big_ = nullptr, *mono_ = nullptr;
};

}  // namespace everstate::console
