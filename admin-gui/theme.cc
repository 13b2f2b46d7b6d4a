#include "admin-gui/theme.h"

#include <filesystem>
#include <vector>

namespace everstate::console {
namespace {

constexpr float kTextPixels = 15, kBigPixels = 20, kMonoPixels = 14;

ImU32 Rgb(unsigned hex, unsigned alpha = 255) { return IM_COL32(hex >> 16 & 255, hex >> 8 & 255, hex & 255, alpha); }
ImVec4 Vec(ImU32 colour) { return ImGui::ColorConvertU32ToFloat4(colour); }

Palette Dark() {
  return {.text = Rgb(0xE6E9EF),
          .dim = Rgb(0x8D96A8),
          .stale = Rgb(0x6C7486),
          .accent = Rgb(0x5B9DFF),
          .good = Rgb(0x3FBF7F),
          .warn = Rgb(0xE5B454),
          .bad = Rgb(0xEF6A6A),
          .grid = Rgb(0x2C3340),
          .panel = Rgb(0x171B23),
          .raised = Rgb(0x222836),
          .track = Rgb(0x2A3140),
          .series = {Rgb(0x5B9DFF), Rgb(0x3FBF7F), Rgb(0xE5B454), Rgb(0xB48CF2)}};
}
Palette Light() {
  return {.text = Rgb(0x1B2230),
          .dim = Rgb(0x5F6B80),
          .stale = Rgb(0x98A1B1),
          .accent = Rgb(0x1F6FEB),
          .good = Rgb(0x1A7F4B),
          .warn = Rgb(0xA86A00),
          .bad = Rgb(0xC93434),
          .grid = Rgb(0xDFE3EA),
          .panel = Rgb(0xFFFFFF),
          .raised = Rgb(0xEDF0F5),
          .track = Rgb(0xE2E6ED),
          .series = {Rgb(0x1F6FEB), Rgb(0x1A7F4B), Rgb(0xA86A00), Rgb(0x7A3FD1)}};
}

// Latin, Greek, Cyrillic, general punctuation (dash, ellipsis), arrows, mathematical operators, geometric shapes.
constexpr ImWchar kRanges[] = {0x0020, 0x024F, 0x0370, 0x052F, 0x2010, 0x2027, 0x2030, 0x205E, 0x2190,
                               0x21FF, 0x2200, 0x22FF, 0x25A0, 0x25FF, 0x2713, 0x2717, 0};

std::string FindFont(const std::string& dir, const std::string& file) {
  std::vector<std::string> dirs{dir};
  if (dir.empty())
    dirs = {"/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/dejavu", "/usr/share/fonts/TTF",
            "/usr/share/fonts/dejavu-sans-fonts", "/usr/local/share/fonts"};
  for (const std::string& one : dirs) {
    const std::filesystem::path path = std::filesystem::path(one) / file;
    std::error_code error;
    if (std::filesystem::is_regular_file(path, error)) return path.string();
  }
  return "";
}

}  // namespace

void Theme::LoadFonts() {
  ImFontAtlas& atlas = *ImGui::GetIO().Fonts;
  atlas.Clear();
  auto add = [&](const char* file, float pixels) -> ImFont* {
    const std::string path = FindFont(fonts_dir_, file);
    return path.empty() ? nullptr : atlas.AddFontFromFileTTF(path.c_str(), px(pixels), nullptr, kRanges);
  };
  ImFont* text = add("DejaVuSans.ttf", kTextPixels);
  has_dash_ = text != nullptr;
  if (!text) {
    ImFontConfig config;
    config.SizePixels = px(13);
    text = atlas.AddFontDefault(&config);
  }
  ImGui::GetIO().FontDefault = text;
  bold_ = add("DejaVuSans-Bold.ttf", kTextPixels);
  big_ = add("DejaVuSans.ttf", kBigPixels);
  mono_ = add("DejaVuSansMono.ttf", kMonoPixels);
  if (!bold_) bold_ = text;
  if (!big_) big_ = text;
  if (!mono_) mono_ = text;
  atlas.Build();
}

void Theme::Apply(bool light, float scale) {
  const bool new_fonts = scale != scale_ || !bold_;
  light_ = light;
  scale_ = scale;
  palette_ = light ? Light() : Dark();
  if (new_fonts) LoadFonts();

  ImGuiStyle style;
  light ? ImGui::StyleColorsLight(&style) : ImGui::StyleColorsDark(&style);
  style.WindowPadding = {12, 10};
  style.FramePadding = {9, 4};
  style.CellPadding = {8, 3};
  style.ItemSpacing = {10, 6};
  style.ScrollbarSize = 12;
  style.WindowRounding = 0;
  style.ChildRounding = style.FrameRounding = style.PopupRounding = style.TabRounding = 5;
  style.WindowBorderSize = 0;
  style.ChildBorderSize = style.PopupBorderSize = 1;
  style.FrameBorderSize = light ? 1 : 0;
  const ImVec4 background = Vec(light ? Rgb(0xF5F7FA) : Rgb(0x0F1218));
  const ImVec4 panel = Vec(palette_.panel), raised = Vec(palette_.raised), accent = Vec(palette_.accent);
  auto faded = [&](float alpha) { return ImVec4(accent.x, accent.y, accent.z, alpha); };
  ImVec4* c = style.Colors;
  c[ImGuiCol_Text] = Vec(palette_.text);
  c[ImGuiCol_TextDisabled] = Vec(palette_.dim);
  c[ImGuiCol_WindowBg] = background;
  c[ImGuiCol_ChildBg] = panel;
  c[ImGuiCol_PopupBg] = panel;
  c[ImGuiCol_Border] = Vec(palette_.grid);
  c[ImGuiCol_FrameBg] = raised;
  c[ImGuiCol_FrameBgHovered] = c[ImGuiCol_FrameBgActive] = faded(0.25f);
  c[ImGuiCol_Button] = raised;
  c[ImGuiCol_ButtonHovered] = faded(0.45f);
  c[ImGuiCol_ButtonActive] = faded(0.7f);
  c[ImGuiCol_Header] = faded(0.3f);
  c[ImGuiCol_HeaderHovered] = faded(0.2f);
  c[ImGuiCol_HeaderActive] = faded(0.4f);
  c[ImGuiCol_Tab] = c[ImGuiCol_TabUnfocused] = background;
  c[ImGuiCol_TabHovered] = faded(0.3f);
  c[ImGuiCol_TabActive] = c[ImGuiCol_TabUnfocusedActive] = raised;
  c[ImGuiCol_CheckMark] = c[ImGuiCol_NavHighlight] = accent;
  c[ImGuiCol_TableHeaderBg] = raised;
  c[ImGuiCol_TableBorderLight] = c[ImGuiCol_TableBorderStrong] = c[ImGuiCol_Separator] = Vec(palette_.grid);
  c[ImGuiCol_TableRowBg] = ImVec4(0, 0, 0, 0);
  c[ImGuiCol_TableRowBgAlt] = light ? ImVec4(0, 0, 0, 0.025f) : ImVec4(1, 1, 1, 0.02f);
  c[ImGuiCol_ScrollbarBg] = ImVec4(0, 0, 0, 0);
  c[ImGuiCol_ScrollbarGrab] = Vec(palette_.track);
  c[ImGuiCol_TitleBgActive] = raised;
  c[ImGuiCol_ModalWindowDimBg] = ImVec4(0, 0, 0, 0.5f);
  style.ScaleAllSizes(scale);
  ImGui::GetStyle() = style;
}

}  // namespace everstate::console
