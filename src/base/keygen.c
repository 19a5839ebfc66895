/* SPDX-License-Identifier: Apache-2.0 */
#include "base/keygen.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/hash.h"
#include "gen/errors.h"

#define KEYGEN_BITS 2048
#define KEYGEN_STOCK 8       /* once somebody has taken one */
#define KEYGEN_STOCK_FIRST 2 /* before: most installations never ask for any */
#define KEYGEN_NICE 10
#define BLOB_MAX_BYTES (64 + KEYGEN_BITS / 8 + 16) /* of the public half: a word, an exponent, a modulus */

static struct {
    pthread_mutex_t lock; /* guards what follows, but for `stopping`, which the maker reads in the middle of its work */
    pthread_cond_t wanted;
    pthread_t thread;
    bool running;
    size_t target;
    size_t count;
    EVP_PKEY *stock[KEYGEN_STOCK];
    atomic_bool stopping;
} keygen = {.lock = PTHREAD_MUTEX_INITIALIZER, .wanted = PTHREAD_COND_INITIALIZER};

static void lock(void)
{
    int r = pthread_mutex_lock(&keygen.lock);

    assert(r == 0);
}

static void unlock(void)
{
    int r = pthread_mutex_unlock(&keygen.lock);

    assert(r == 0);
}

/* Called between two candidates for a prime: 0 gives up. */
static int go_on(EVP_PKEY_CTX *ctx)
{
    (void)ctx;
    return !atomic_load(&keygen.stopping);
}

/* NULL only when it was told to give up. */
static EVP_PKEY *make(void)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;

    if (!ctx || EVP_PKEY_keygen_init(ctx) <= 0 || EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, KEYGEN_BITS) <= 0)
        abort(); /* libcrypto is broken or out of memory */
    EVP_PKEY_CTX_set_cb(ctx, go_on);
    if (EVP_PKEY_generate(ctx, &key) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    if (!key && !atomic_load(&keygen.stopping))
        abort();
    return key;
}

static void *maker(void *arg)
{
    EVP_PKEY *key;

    (void)arg;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), KEYGEN_NICE); /* of this thread alone; without it we are only less polite */
    lock();
    while (!atomic_load(&keygen.stopping)) {
        if (keygen.count >= keygen.target) {
            (void)pthread_cond_wait(&keygen.wanted, &keygen.lock);
            continue;
        }
        unlock();
        key = make();
        lock();
        if (key)
            keygen.stock[keygen.count++] = key;
    }
    unlock();
    return NULL;
}

int keygen_start(void)
{
    int r;

    lock();
    assert(!keygen.running);
    atomic_store(&keygen.stopping, false);
    keygen.target = KEYGEN_STOCK_FIRST;
    r = pthread_create(&keygen.thread, NULL, maker, NULL);
    keygen.running = r == 0;
    unlock();
    return r == 0 ? 0 : -E_IO;
}

void keygen_stop(void)
{
    bool running;

    lock();
    running = keygen.running;
    atomic_store(&keygen.stopping, true);
    (void)pthread_cond_signal(&keygen.wanted);
    unlock();
    if (running)
        (void)pthread_join(keygen.thread, NULL);
    lock();
    while (keygen.count > 0)
        EVP_PKEY_free(keygen.stock[--keygen.count]); /* clears it as well */
    keygen.running = false;
    atomic_store(&keygen.stopping, false);
    unlock();
}

/* ── as text ── */

/* RSAPrivateKey (RFC 8017), as the sample of the API's page: more SSH clients read it than the PKCS#8 that its text names. */
static struct str private_pem(struct arena *arena, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct str text;
    char *bytes;
    long len;

    if (!bio || PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL) <= 0)
        abort();
    len = BIO_get_mem_data(bio, &bytes);
    text = arena_str(arena, str_slice(bytes, (size_t)len));
    BIO_free(bio); /* clears it as well */
    return text;
}

static void put_bytes(uint8_t *blob, size_t *at, const void *bytes, size_t len)
{
    assert(*at + 4 + len <= BLOB_MAX_BYTES);
    for (int shift = 24; shift >= 0; shift -= 8)
        blob[(*at)++] = (uint8_t)(len >> shift);
    memcpy(blob + *at, bytes, len);
    *at += len;
}

/* RFC 4251: an mpint whose first bit is set gets a zero in front, or it would be negative. */
static void put_number(uint8_t *blob, size_t *at, EVP_PKEY *key, const char *name)
{
    uint8_t bytes[1 + KEYGEN_BITS / 8] = {0};
    BIGNUM *number = NULL;
    int len;

    if (EVP_PKEY_get_bn_param(key, name, &number) <= 0)
        abort();
    len = BN_num_bytes(number);
    assert(len > 0 && len <= KEYGEN_BITS / 8);
    (void)BN_bn2bin(number, bytes + 1);
    BN_free(number);
    if (bytes[1] & 0x80u)
        put_bytes(blob, at, bytes, (size_t)len + 1);
    else
        put_bytes(blob, at, bytes + 1, (size_t)len);
}

static struct str public_line(struct arena *arena, EVP_PKEY *key)
{
    uint8_t blob[BLOB_MAX_BYTES];
    char text[BASE64_MAX(BLOB_MAX_BYTES)];
    size_t len = 0;

    put_bytes(blob, &len, "ssh-rsa", 7);
    put_number(blob, &len, key, OSSL_PKEY_PARAM_RSA_E);
    put_number(blob, &len, key, OSSL_PKEY_PARAM_RSA_N);
    (void)base64_encode(blob, len, text);
    return arena_printf(arena, "ssh-rsa %s", text);
}

int keygen_take(struct arena *arena, struct keygen_key *ret)
{
    EVP_PKEY *key = NULL;
    bool running;

    lock();
    running = keygen.running;
    keygen.target = KEYGEN_STOCK;
    if (keygen.count > 0)
        key = keygen.stock[--keygen.count];
    (void)pthread_cond_signal(&keygen.wanted);
    unlock();
    if (!key && running)
        return -E_BUSY;
    if (!key)
        key = make();
    *ret = (struct keygen_key){.private_pem = private_pem(arena, key), .public_line = public_line(arena, key)};
    EVP_PKEY_free(key);
    return 0;
}
