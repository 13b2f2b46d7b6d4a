#include "server/ingest/tls_fault.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "absl/strings/str_cat.h"

namespace everstate::ingest {
namespace {

template <auto F>
struct Freer {
  template <typename T>
  void operator()(T* thing) const {
    F(thing);
  }
};
using Context = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, Freer<SSL_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Memory = std::unique_ptr<BIO, Freer<BIO_free>>;

struct Socket {
  int fd = -1;
  ~Socket() {
    if (fd >= 0) close(fd);
  }
};

int Connect(const std::string& host, const std::string& port, uint32_t timeout_ms) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return -1;
  const std::unique_ptr<addrinfo, Freer<freeaddrinfo>> addresses(found);
  const timeval timeout = {timeout_ms / 1000, static_cast<suseconds_t>(timeout_ms % 1000) * 1000};
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    const int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    if (fd < 0) continue;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (connect(fd, at->ai_addr, at->ai_addrlen) == 0) return fd;
    close(fd);
  }
  return -1;
}

// "CN = localhost, valid until Nov 28 18:44:00 2026 GMT".
std::string Describe(const X509* certificate) {
  const Memory memory(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(memory.get(), X509_get_subject_name(certificate), 0, XN_FLAG_ONELINE);
  BIO_puts(memory.get(), ", valid until ");
  ASN1_TIME_print(memory.get(), X509_get0_notAfter(certificate));
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

// As gRPC does: the file that the variable names, else the system's. False when the file holds none.
bool LoadRoots(SSL_CTX* context) {
  const char* file = std::getenv(kRootsVariable);
  if (file == nullptr || *file == '\0') return SSL_CTX_set_default_verify_paths(context) == 1;
  return SSL_CTX_load_verify_locations(context, file, nullptr) == 1;
}

bool IsOfUnknownIssuer(long verdict) {
  return verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY || verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
         verdict == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN || verdict == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT;
}

std::string VerdictOf(SSL* session) {
  const long verdict = SSL_get_verify_result(session);
  const Certificate certificate(SSL_get1_peer_certificate(session));
  if (verdict == X509_V_OK || certificate == nullptr) return "";
  return absl::StrCat(
      "its certificate is refused: ", X509_verify_cert_error_string(verdict), " (", Describe(certificate.get()), ")",
      IsOfUnknownIssuer(verdict) ? absl::StrCat("; ", kRootsVariable, " may name a file with the roots to trust") : "");
}

}  // namespace

absl::Status CheckTlsRoots() {
  const Context context(SSL_CTX_new(TLS_client_method()));
  const bool loaded = LoadRoots(context.get());
  ERR_clear_error();
  if (loaded) return absl::OkStatus();
  const char* file = std::getenv(kRootsVariable);
  return absl::InvalidArgumentError(
      absl::StrCat(kRootsVariable, " names ", file == nullptr ? "no file" : file, ", which holds no certificates"));
}

std::string TlsFault(const std::string& host, const std::string& port, uint32_t timeout_ms) {
  const Context context(SSL_CTX_new(TLS_client_method()));
  LoadRoots(context.get());
  const Socket socket{Connect(host, port, timeout_ms)};
  if (socket.fd < 0) return "";
  const Session session(SSL_new(context.get()));
  // The handshake goes on whatever the verdict is, so that the verdict can be asked for.
  SSL_set_verify(session.get(), SSL_VERIFY_NONE, nullptr);
  X509_VERIFY_PARAM* wanted = SSL_get0_param(session.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) != 1) {
    X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size());
    SSL_set_tlsext_host_name(session.get(), host.c_str());
  }
  SSL_set_fd(session.get(), socket.fd);
  ERR_clear_error();
  const int connected = SSL_connect(session.get());
  const bool other_protocol = connected != 1 && ERR_GET_REASON(ERR_peek_error()) == SSL_R_WRONG_VERSION_NUMBER;
  ERR_clear_error();
  if (other_protocol) return "it does not speak TLS there; without TLS the endpoint begins with http://";
  return connected == 1 ? VerdictOf(session.get()) : "";
}

}  // namespace everstate::ingest
