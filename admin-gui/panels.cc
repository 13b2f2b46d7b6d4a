#include "admin-gui/panel.h"

namespace everstate::console {

std::vector<std::unique_ptr<Panel>> MakePanels() {
  std::vector<std::unique_ptr<Panel>> panels;
  panels.push_back(MakeStreamHealthPanel());
  panels.push_back(MakeBusTrafficPanel());
  panels.push_back(MakeCheckpointsPanel());
  return panels;
}

}  // namespace everstate::console
