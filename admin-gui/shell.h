// What is around the panels: the bar that says which server this is and how it is, the tabs, and the last notice.
#pragma once

#include <optional>

#include "admin-gui/panel.h"

namespace everstate::console {

// Shell
//   Thread: the one that draws.
//   Owns:   the model, the client and the panels.
class Shell {
 public:
  explicit Shell(ClientOptions options);

  void TakeEvents();  // from the client into the model
  void Draw(Widgets& ui);

  bool wanted_light() const { return light_; }
  float wanted_scale(float now) const { return scale_.value_or(now); }
  void StartWith(bool light) { light_ = light; }

 private:
  void DrawBar(Widgets& ui);
  void DrawLink(Widgets& ui);
  void DrawTabs(DrawContext& context);
  void DrawNotices(Widgets& ui);
  void TakeKeys(const Widgets& ui);

  const std::string address_;
  ConsoleModel model_;
  ConsoleClient client_;
  std::vector<std::unique_ptr<Panel>> panels_;
  bool light_ = false;
  std::optional<float> scale_;
  std::optional<size_t> go_to_;  // the tab that a key asked for
};

}  // namespace everstate::console
