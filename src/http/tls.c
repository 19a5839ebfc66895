/* SPDX-License-Identifier: Apache-2.0 */
/* TLS over sockets that don't block; a certificate of our own where none is configured. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/internal.h"

#define CERTIFICATE_DAYS 3650
#define PATH_BYTES 4096

struct tls {
    SSL_CTX *context;
};

struct tls_conn {
    SSL *ssl;
    bool broken; /* after a fatal error OpenSSL may not be asked for anything but to free */
};

/* ── the certificate ── */

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool ok;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ok = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_NAME *name = certificate ? X509_get_subject_name(certificate) : NULL;
    struct timespec now;
    char host[256] = "localhost";
    char names[384];
    bool ok = certificate != NULL;

    (void)gethostname(host, sizeof(host) - 1); /* else the name stays */
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(names, sizeof(names), "DNS:localhost,DNS:%s,IP:127.0.0.1,IP:::1", host);
    ok = ok && X509_set_version(certificate, 2) == 1;
    ok = ok && ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    ok = ok && X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
    ok = ok && X509_gmtime_adj(X509_getm_notAfter(certificate), (long)CERTIFICATE_DAYS * 86400);
    ok = ok && X509_set_pubkey(certificate, key) == 1;
    ok = ok && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"ecsd", -1, -1, 0) == 1;
    ok = ok && X509_set_issuer_name(certificate, name) == 1;
    ok = ok && add_extension(certificate, NID_subject_alt_name, names);
    /* Clients add it to their trusted ones: it has to be allowed to vouch for itself. */
    ok = ok && add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    ok = ok && add_extension(certificate, NID_ext_key_usage, "serverAuth");
    ok = ok && X509_sign(certificate, key, EVP_sha256()) > 0;
    if (ok)
        return certificate;
    X509_free(certificate);
    return NULL;
}

static FILE *create_file(const char *path, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    return fd < 0 ? NULL : fdopen(fd, "w");
}

static bool write_pem(const char *path, mode_t mode, EVP_PKEY *key, X509 *certificate)
{
    FILE *file = create_file(path, mode);
    bool ok;

    if (!file)
        return false;
    ok = key ? PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1 : PEM_write_X509(file, certificate) == 1;
    ok = fflush(file) == 0 && fsync(fileno(file)) == 0 && ok;
    return fclose(file) == 0 && ok;
}

/* The key first: a certificate without its key is made anew at the next start. */
static bool make_files(const char *certificate_path, const char *key_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key ? make_certificate(key) : NULL;
    bool ok = certificate && write_pem(key_path, 0600, key, NULL) && write_pem(certificate_path, 0644, NULL, certificate);

    X509_free(certificate);
    EVP_PKEY_free(key);
    return ok;
}

/* ── the context ── */

static int load_files(SSL_CTX *context, const char *certificate_path, const char *key_path, struct fail *fail)
{
    if (SSL_CTX_use_certificate_chain_file(context, certificate_path) != 1)
        return fail_text(fail, E_INVALID, "%s holds no certificate in PEM form", certificate_path);
    if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1)
        return fail_text(fail, E_INVALID, "%s holds no private key in PEM form that fits %s", key_path, certificate_path);
    return 0;
}

static int choose_files(const struct options *options, const char *dir, char certificate_path[PATH_BYTES],
                        char key_path[PATH_BYTES], struct fail *fail)
{
    struct str certificate = options->http_tls_certificate;
    struct str key = options->http_tls_key;

    if (str_empty(certificate) != str_empty(key))
        return fail_text(fail, E_INVALID, "http.tls_certificate and http.tls_key are given together or not at all");
    if (!str_empty(certificate)) {
        (void)snprintf(certificate_path, PATH_BYTES, "%.*s", STR_ARG(certificate));
        (void)snprintf(key_path, PATH_BYTES, "%.*s", STR_ARG(key));
        return 0;
    }
    (void)snprintf(certificate_path, PATH_BYTES, "%s/tls.crt", dir);
    (void)snprintf(key_path, PATH_BYTES, "%s/tls.key", dir);
    if (access(certificate_path, R_OK) == 0 && access(key_path, R_OK) == 0)
        return 0;
    if (!make_files(certificate_path, key_path))
        return fail_text(fail, E_IO, "can't make a certificate in %s", dir);
    log_notice("made a self-signed certificate", LOG_TEXT("path", certificate_path));
    return 0;
}

int tls_open(const struct options *options, const char *dir, struct fail *fail, struct tls **ret)
{
    char certificate_path[PATH_BYTES];
    char key_path[PATH_BYTES];
    struct tls *tls;
    SSL_CTX *context;
    int r = choose_files(options, dir, certificate_path, key_path, fail);

    if (r < 0)
        return r;
    context = SSL_CTX_new(TLS_server_method());
    if (!context)
        return fail_text(fail, E_IO, "can't set up TLS");
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    r = load_files(context, certificate_path, key_path, fail);
    if (r < 0) {
        SSL_CTX_free(context);
        return r;
    }
    tls = xcalloc(1, sizeof(*tls));
    tls->context = context;
    *ret = tls;
    return 0;
}

struct tls *tls_close(struct tls *tls)
{
    if (tls)
        SSL_CTX_free(tls->context);
    return xfree(tls);
}

/* ── connections ── */

struct tls_conn *tls_conn_new(struct tls *tls, int fd)
{
    struct tls_conn *conn;
    SSL *ssl = SSL_new(tls->context);

    if (!ssl || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    conn = xcalloc(1, sizeof(*conn));
    conn->ssl = ssl;
    return conn;
}

void tls_conn_free(struct tls_conn *conn)
{
    SSL_free(conn->ssl);
    (void)xfree(conn);
}

/* What a call that did not move bytes means, in the words of recv and send. */
static ssize_t tls_outcome(struct tls_conn *conn, int r)
{
    switch (SSL_get_error(conn->ssl, r)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        conn->broken = true;
        errno = ECONNRESET;
        return -1;
    }
}

ssize_t tls_recv(struct tls_conn *conn, void *bytes, size_t len)
{
    size_t got = 0;
    int r;

    if (conn->broken)
        return 0;
    ERR_clear_error();
    r = SSL_read_ex(conn->ssl, bytes, len, &got);
    return r == 1 ? (ssize_t)got : tls_outcome(conn, r);
}

ssize_t tls_send(struct tls_conn *conn, const void *bytes, size_t len)
{
    size_t sent = 0;
    int r;

    if (conn->broken)
        return 0;
    ERR_clear_error();
    r = SSL_write_ex(conn->ssl, bytes, len, &sent);
    return r == 1 ? (ssize_t)sent : tls_outcome(conn, r);
}

void tls_bye(struct tls_conn *conn)
{
    if (conn->broken || SSL_in_init(conn->ssl))
        return;
    ERR_clear_error();
    (void)SSL_shutdown(conn->ssl); /* said once; the other side's answer is not waited for */
}
