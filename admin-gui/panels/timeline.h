// The slots that can be gone back to: the checkpoints, what the archive reaches, where the server is now.
#pragma once

#include <optional>
#include <string>

#include "admin-gui/panel.h"

namespace everstate::console {

// Draws it, with the checkpoint of the name `selected` marked. Answers the name of the one that was clicked.
std::optional<std::string> DrawTimeline(DrawContext& context, const std::string& selected, ImVec2 size);

}  // namespace everstate::console
