// A panel: one page of the console. It draws the model and asks the client; it knows no other panel.
#pragma once

#include <memory>
#include <vector>

#include "admin-gui/client/console_client.h"
#include "admin-gui/console_model.h"
#include "admin-gui/widgets.h"

namespace everstate::console {

struct DrawContext {
  ConsoleModel& model;
  ConsoleClient& client;
  Widgets& ui;
  Time now;
};

// Thread: the one that draws.
class Panel {
 public:
  virtual ~Panel() = default;
  virtual const char* title() const = 0;
  virtual void Draw(DrawContext& context) = 0;
  // Called instead of Draw for every frame in which another panel is shown.
  virtual void Hidden(DrawContext&) {}
};

std::unique_ptr<Panel> MakeStreamHealthPanel();
std::unique_ptr<Panel> MakeBusTrafficPanel();
std::unique_ptr<Panel> MakeCheckpointsPanel();

// All panels, in the order of their tabs.
std::vector<std::unique_ptr<Panel>> MakePanels();

}  // namespace everstate::console
