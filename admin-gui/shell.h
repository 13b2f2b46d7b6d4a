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
  Shell(ClientOptions options, bool light, float scale);

  void TakeEvents();  // from the client into the model
  void Draw(Widgets& ui);

  bool wanted_light() const { return light_; }
  float wanted_scale() const { return scale_; }

 private:
  void DrawBar(Widgets& ui);
  void DrawLink(Widgets& ui);
  void DrawTabs(DrawContext& context);
  void DrawNotices(Widgets& ui);
  void TakeKeys();

  const std::string address_;
  ConsoleModel model_;
  ConsoleClient client_;
  std::vector<std::unique_ptr<Panel>> panels_;
  bool light_;
  const float first_scale_;
  float scale_;
  std::optional<size_t> go_to_;  // the tab that a key asked for
};

}  // namespace everstate::console
