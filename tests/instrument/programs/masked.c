/* Masked moves: by the sum of the lanes that are done. */
#include <immintrin.h>

static float numbers[1024] __attribute__((aligned(64)));
static int whole[1024] __attribute__((aligned(64)));
static const int masks[4][8] = {
    {-1, -1, -1, -1, -1, -1, -1, -1},
    {0, 0, 0, 0, 0, 0, 0, 0},
    {0, -1, 0, -1, -1, 0, 0, 0},
    {0, 0, 0, 0, 0, 0, 0, -1},
};

int main(void)
{
    for (int i = 0; i < 400; i++) {
        __m256i mask = _mm256_loadu_si256((const __m256i *)masks[i % 4]);
        __m128i half = _mm256_castsi256_si128(mask);
        __m256 one = _mm256_maskload_ps(numbers + i, mask);
        _mm256_maskstore_ps(numbers + 2 * i, mask, one);
        __m128 other = _mm_maskload_ps(numbers + i + 5, half);
        _mm_maskstore_ps(numbers + i + 100, half, other);
        __m256i number = _mm256_maskload_epi32(whole + i, mask);
        _mm256_maskstore_epi32(whole + 2 * i, mask, number);
        __m128d two = _mm_maskload_pd((const double *)(numbers + 2 * i), half);
        _mm_maskstore_pd((double *)(numbers + 400), half, two);
    }
    return 0;
}
