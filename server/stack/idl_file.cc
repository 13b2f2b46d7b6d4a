#include "server/base/base58.h"
#include "server/stack/read.h"

namespace everstate::stack {

absl::StatusOr<Idl> ParseIdl(const std::string& text, const std::string& file, const std::string& program_id) {
  absl::StatusOr<Json> json = ParseJson(text, file, "an IDL");
  if (!json.ok()) return json.status();
  Diagnostics diagnostics(file);
  const Node root(&*json, Place(&diagnostics));
  if (!root.IsObject()) root.Fail("an IDL is an object");
  const bool codama = root.Has("kind") && root.Has("program");
  Idl idl = codama ? ReadCodamaIdl(root) : ReadAnchorIdl(root);
  const std::string_view rule = "is not the base58 text of 32 bytes";
  if (!program_id.empty()) {
    idl.program_id = program_id;
    if (!DecodeBase58Key32(program_id))
      root.Fail(fmt::format("the program id given for it, \"{}\", {}", program_id, rule));
  } else if (idl.program_id.empty()) {
    root.FailAt("address", "does not say the program's id, and nobody else does");
  } else if (!DecodeBase58Key32(idl.program_id)) {
    root.FailAt(codama ? "program.publicKey" : "address",
                fmt::format("the program id \"{}\" {}", idl.program_id, rule));
  }
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  return idl;
}

absl::StatusOr<Idl> LoadIdl(const std::string& file, const std::string& program_id) {
  absl::StatusOr<std::string> text = ReadText(file);
  if (!text.ok()) return text.status();
  return ParseIdl(*text, file, program_id);
}

}  // namespace everstate::stack
