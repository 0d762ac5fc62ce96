"""The faults that `planted.py` plants, by the part of the package in which they stand."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
      name: of the fault, for `--only` and the results.
      what: what is wrong, in plain words.
      file: the file in which it is planted.
      search: the text to replace, which must occur exactly once.
      replacement: what stands there instead.
      tests: arguments of pytest, one run for each, the likeliest to see the fault first.
    """

    name: str
    what: str
    file: str
    search: str
    replacement: str
    tests: tuple


def contract(words):
    return f'tests/test_contract.py -k "{words}"'


def image_contract(words):
    return f'tests/test_image_contract.py -k "{words}"'


FAULTS = [
    # Math: splines.
    Fault(
        "spline_upper_end_inside",
        "a point at the upper end of a spline counts as inside, where it has no bin",
        "tfp_flows/math/splines/_spline_bins.py",
        "(position < knots[..., -1, :])",
        "(position <= knots[..., -1, :])",
        (
            "tests/math/splines/test_rational_quadratic_spline.py",
            "tests/math/splines/test_spline_bins.py",
            contract("spline and not neural"),
        ),
    ),
    Fault(
        "spline_tail_sign",
        "the log-det of the inverse has the wrong sign in linear tails",
        "tfp_flows/math/splines/_spline_bins.py",
        "return first + offset / slope, -log_slope",
        "return first + offset / slope, log_slope",
        (
            "tests/math/splines/test_rational_quadratic_spline.py",
            contract("linear_tails"),
        ),
    ),
    Fault(
        "spline_shape_gradient",
        "a factor is lost in the gradient by hand from log-det to knot slopes",
        "tfp_flows/math/splines/rational_quadratic_spline.py",
        "through_q = to_log_slope * (2.0 * theta * phi / q)",
        "through_q = to_log_slope * (theta * phi / q)",
        (
            "tests/math/splines/test_rational_quadratic_spline.py -k gradient",
            contract("gradients and rational_quadratic_spline"),
            "tests/math/splines/test_rational_quadratic_spline.py",
        ),
    ),
    Fault(
        "quadratic_spline_not_scaled",
        "slopes are squared without a scale in the inverse, and overflow or vanish",
        "tfp_flows/math/splines/quadratic_spline.py",
        "scale = tf.stop_gradient(tf.maximum(d0, d1))",
        "scale = tf.ones_like(d0)",
        (
            "tests/math/splines/test_quadratic_spline.py",
            "tests/bijectors/transformers/test_spline_parameters.py -k Quadratic",
            "tests/bijectors/transformers/test_quadratic_spline.py",
            contract("quadratic_spline and not rational"),
        ),
    ),
    # Math: solvers.
    Fault(
        "find_root_tolerance",
        "the tolerance of root searches is loosened to 1e-2",
        "tfp_flows/math/solvers/find_root.py",
        "tolerance = 32.0 * eps_of(target)",
        "tolerance = eps_of(target) ** 0.125",
        (
            "tests/math/solvers/test_find_root.py",
            contract("round_trip and (deep_sigmoid or logistic or planar)"),
        ),
    ),
    Fault(
        "find_root_small_step",
        "a root is found where Newton's step is small, however far the value is off",
        "tfp_flows/math/solvers/_bracketed_search.py",
        "near |= (tf.abs(newton_step) <= scale) & (size <= tolerance)",
        "near |= tf.abs(newton_step) <= scale",
        ("tests/math/solvers/test_find_root.py",),
    ),
    Fault(
        "knots_of_a_batch",
        "the start of a spline that has a batch is added to the axis of bins",
        "tfp_flows/math/splines/_spline_bins.py",
        "lower = lower[..., tf.newaxis, :]",
        "pass",
        ("tests/bijectors/transformers/test_batches.py",),
    ),
    Fault(
        "density_gradient_at_infinity",
        "rows whose density underflows make gradients NaN",
        "tfp_flows/math/_finite_gradient.py",
        "tf.where(tf.math.is_inf(x), tf.stop_gradient(x), x)",
        "x",
        ('tests/flows/test_far_inputs.py -k "gradients_of_densities"',),
    ),
    Fault(
        "pass_cache_thread_not_in_key",
        "what one thread remembers is found from another",
        "tfp_flows/bijectors/_pass_cache.py",
        "return graph, _THREAD.value",
        "return graph",
        ("tests/bijectors/test_threads.py",),
    ),
    Fault(
        "find_root_one_newton_step",
        "one differentiated Newton step instead of two: second derivatives are wrong",
        "tfp_flows/math/solvers/find_root.py",
        "following, residual_after, step_after, _ = newton(x)",
        "following, residual_after, step_after = x, residual, step",
        (
            "tests/math/solvers/test_find_root.py",
            "tests/math/test_logit_mixture.py",
            contract("deep_sigmoid or logistic"),
        ),
    ),
    Fault(
        "fixed_point_tolerance",
        "the tolerance of fixed points is a thousand times larger",
        "tfp_flows/math/solvers/fixed_point.py",
        "tolerance = 32.0 * float(",
        "tolerance = 32000.0 * float(",
        (
            "tests/math/solvers/test_fixed_point.py",
            "tests/bijectors/residual/test_residual.py",
            contract("residual"),
        ),
    ),
    Fault(
        "fixed_point_gradient",
        "the gradient of a fixed point misses the series of the implicit function",
        "tfp_flows/math/solvers/fixed_point.py",
        "return tf.where(_over_event(found, event_ndims), scale * v, nan)",
        "return tf.where(_over_event(found, event_ndims), scale * tf.zeros_like(v), nan)",
        (
            "tests/math/solvers/test_fixed_point.py",
            contract("gradients and residual"),
        ),
    ),
    Fault(
        "jacobi_log_det_gradient",
        "the gradient of a log-det does not go through the solution of the Jacobi iteration",
        "tfp_flows/math/solvers/jacobi.py",
        "u = of_point + linearized.transposed(of_extra, linearized.value[1])",
        "u = of_point + tf.zeros_like(y)",
        (
            "tests/math/solvers/test_jacobi.py",
            contract("gradients and jacobi"),
        ),
    ),
    Fault(
        "jacobi_order_not_inverted",
        "the Jacobi iteration is given the order instead of the places in it",
        "tfp_flows/bijectors/conditioned/autoregressive.py",
        "y, log_det, _ = jacobi(function, x, np.argsort(order))",
        "y, log_det, _ = jacobi(function, x, order)",
        (
            contract("jacobi"),
            "tests/bijectors/conditioned/test_autoregressive.py",
        ),
    ),
    Fault(
        "triangular_inverse_one_step_short",
        "the solution of the transposed triangular system stops one step early",
        "tfp_flows/math/linalg/_triangular_inverse.py",
        "maximum_iterations=size)",
        "maximum_iterations=size - 1)",
        (
            "tests/math/linalg/test_triangular_inverse.py",
            "tests/math/solvers/test_masked_network.py",
        ),
    ),
    Fault(
        "masked_kernel_shifted",
        "the mask of a convolution lets one column more through",
        "tfp_flows/math/solvers/_masked_network.py",
        "mask[-1, columns // 2 + 1 :] = False",
        "mask[-1, columns // 2 + 2 :] = False",
        (
            "tests/math/solvers/test_masked_network.py",
            "tests/layers/test_masked_conv_net.py",
            image_contract("masked_convolution"),
        ),
    ),
    Fault(
        "block_matrix_floor_removed",
        "a product that underflows has the logarithm minus infinity",
        "tfp_flows/math/linalg/_block_matrix.py",
        "product = tf.maximum(product, tf.constant(tiny, product.dtype))",
        "product = tf.identity(product)",
        (
            "tests/math/linalg/test_block_matrix.py",
            "tests/bijectors/conditioned/test_block_autoregressive.py",
            contract("block_autoregressive or bnaf"),
        ),
    ),
    # Math: differential equations.
    Fault(
        "ode_accepts_larger_errors",
        "an adaptive step is accepted with ten times the error",
        "tfp_flows/math/ode/dormand_prince.py",
        "accepted = worst <= 1.0",
        "accepted = worst <= 10.0",
        (
            "tests/math/ode/test_dormand_prince.py",
            "tests/math/ode/test_adjoint.py",
            "tests/bijectors/continuous/test_continuous.py",
        ),
    ),
    Fault(
        "adjoint_scale_of_variables",
        "gradients of variables through an ODE keep the scale of the cotangents",
        "tfp_flows/math/ode/adjoint.py",
        "[tf.where(is_found, scale * q, nan)",
        "[tf.where(is_found, q, nan)",
        (
            "tests/math/ode/test_adjoint.py",
            "tests/bijectors/continuous/test_continuous.py",
        ),
    ),
    Fault(
        "fixed_steps_time_stands",
        "every fixed step is taken at the time of the first",
        "tfp_flows/math/ode/runge_kutta.py",
        "t = start + tf.cast(i, dtype) * dt",
        "t = start + tf.zeros_like(tf.cast(i, dtype)) * dt",
        (
            "tests/math/ode/test_runge_kutta.py",
            "tests/bijectors/continuous/test_continuous.py",
        ),
    ),
    Fault(
        "fixed_steps_no_static_bound",
        "under XLA alone: the loop has no static bound, and its gradient does not compile",
        "tfp_flows/math/ode/runge_kutta.py",
        "        maximum_iterations=num_steps,\n",
        "",
        (
            "tests/math/ode/test_runge_kutta.py",
            "tests/bijectors/continuous/test_continuous.py",
        ),
    ),
    # Math: linear algebra.
    Fault(
        "power_series_one_term_short",
        "the power series of a log-det ends one term early",
        "tfp_flows/math/linalg/power_series.py",
        "lambda k, *_: k <= num_terms,",
        "lambda k, *_: k < num_terms,",
        (
            "tests/math/linalg/test_power_series.py",
            "tests/bijectors/residual/test_residual.py",
        ),
    ),
    Fault(
        "roulette_weight_shifted",
        "the first term that is not sure has the weight of one that is",
        "tfp_flows/math/linalg/power_series.py",
        "weight *= tf.where(k < num_sure, -one, -one / survival)",
        "weight *= tf.where(k <= num_sure, -one, -one / survival)",
        (
            "tests/math/linalg/test_russian_roulette.py",
            "tests/math/linalg/test_power_series.py",
            "tests/bijectors/residual/test_residual.py",
        ),
    ),
    Fault(
        "convolution_norm_period",
        "the norm is that of a convolution that wraps around, which is no bound",
        "tfp_flows/math/linalg/spectral_norm.py",
        "period = [n + k - 1 for n, k in",
        "period = [max(n, k) for n, k in",
        (
            "tests/math/linalg/test_spectral_norm.py",
            "tests/layers/test_lipschitz_conv_net.py",
        ),
    ),
    Fault(
        "householder_transposed",
        "the product of reflections and its transpose are swapped",
        "tfp_flows/math/linalg/householder.py",
        "adjoint=not transpose",
        "adjoint=transpose",
        (
            "tests/math/linalg/test_householder.py",
            "tests/bijectors/linear/test_qr_linear.py",
            "tests/bijectors/linear/test_householder_linear.py",
            contract("qr_linear or householder"),
        ),
    ),
    Fault(
        "norm_gradient_at_zero",
        "the length of a vector has the gradient NaN at zero",
        "tfp_flows/math/linalg/_euclidean_norm.py",
        "tf.sqrt(tf.where(is_zero, tf.ones_like(squares), squares))",
        "tf.sqrt(squares)",
        (
            "tests/math/linalg/test_euclidean_norm.py",
            "tests/bijectors/residual/test_radial.py",
            "tests/bijectors/residual/test_planar.py",
        ),
    ),
    Fault(
        "permute_gradient_not_inverted",
        "the gradient of a permutation is permuted, not put back",
        "tfp_flows/math/linalg/_permute.py",
        "(upstream, back, axis)",
        "(upstream, order, axis)",
        (
            "tests/math/linalg/test_permute.py",
            contract("gradients and lu_linear"),
        ),
    ),
    # Math: the rest.
    Fault(
        "softplus_truncated",
        "the series of softplus has half the digits",
        "tfp_flows/math/_elementwise.py",
        "> 0.25 * eps:",
        "> 0.25 * eps**0.5:",
        (
            "tests/math/test_softplus.py",
            "tests/bijectors/transformers/test_rational_quadratic_spline.py",
        ),
    ),
    Fault(
        "logit_mixture_clip_removed",
        "units far out are beyond the dtype",
        "tfp_flows/math/_logit_mixture.py",
        "    z = tf.clip_by_value(z, -limit, limit)\n",
        "",
        (
            "tests/math/test_logit_mixture.py",
            contract("extreme and (deep_sigmoid or logistic)"),
        ),
    ),
    Fault(
        "clenshaw_curtis_even_rule",
        "the last cosine of a rule of an odd number of nodes counts twice",
        "tfp_flows/math/clenshaw_curtis.py",
        "factor = 1.0 if 2 * j == n else 2.0",
        "factor = 1.0 if j == n else 2.0",
        (
            "tests/math/test_clenshaw_curtis.py",
            "tests/bijectors/transformers/test_monotone_integral.py",
        ),
    ),
    Fault(
        "network_input_dtype",
        "inputs of networks are clipped by their own dtype, not by the one that computes",
        "tfp_flows/math/_elementwise.py",
        'computed = tf.as_dtype(getattr(network, "compute_dtype", None) or x.dtype)',
        "computed = tf.as_dtype(x.dtype)",
        (
            "tests/flows/test_far_inputs.py",
            contract("extreme and autoregressive"),
        ),
    ),
    Fault(
        "replica_seed_shared",
        "all devices draw by one seed",
        "tfp_flows/math/_replica_seed.py",
        "replica * -1640531535",
        "replica * 0",
        (
            "tests/models/test_strategy.py",
            "tests/math/test_replica_seed.py",
        ),
    ),
    Fault(
        "philox_not_fixed",
        "under XLA alone: the generator is the device's choice, so that draws differ from eager",
        "tfp_flows/math/_philox.py",
        'alg="philox"',
        'alg="auto_select"',
        (
            "tests/math/test_philox.py",
            "tests/layers/test_mlp.py -k dropout",
            "tests/bijectors/residual/test_residual.py",
        ),
    ),
    # Transformers.
    Fault(
        "affine_scale_at_once",
        "a scale beyond the dtype overflows though its product with x would not",
        "tfp_flows/bijectors/transformers/affine.py",
        "tf.zeros_like(x), x) * root * root",
        "tf.zeros_like(x), x) * tf.square(root)",
        (
            "tests/bijectors/transformers/test_affine.py",
            contract("affine"),
        ),
    ),
    Fault(
        "spline_minimum_slope",
        "the minimum of the slopes of a spline is dropped, the start stays the identity",
        "tfp_flows/bijectors/transformers/rational_quadratic_spline.py",
        "min_slope + softplus(raw_slopes + shift)",
        "softplus(raw_slopes + math.log(math.expm1(1.0)))",
        (
            "tests/bijectors/transformers/test_rational_quadratic_spline.py",
            "tests/bijectors/transformers/test_spline_parameters.py -k Rational",
            contract("rational_quadratic_spline"),
        ),
    ),
    Fault(
        "cubic_end_slopes_swapped",
        "the learned slopes at the two ends of a cubic spline are swapped",
        "tfp_flows/bijectors/transformers/cubic_spline.py",
        "slopes = [ends[..., :1, :] + zero, slopes + zero, ends[..., 1:, :] + zero]",
        "slopes = [ends[..., 1:, :] + zero, slopes + zero, ends[..., :1, :] + zero]",
        (
            "tests/bijectors/transformers/test_cubic_spline.py",
            "tests/bijectors/transformers/test_spline_parameters.py -k Cubic",
            contract("cubic"),
        ),
    ),
    Fault(
        "minimum_size_boundary",
        "a minimum of bin sizes that leaves nothing to learn is accepted",
        "tfp_flows/bijectors/transformers/_spline.py",
        "* num_bins >= share:",
        "* num_bins > share:",
        (
            "tests/bijectors/transformers/test_spline_parameters.py -k refuses",
            "tests/bijectors/transformers/test_rational_quadratic_spline.py -k refuses",
            "tests/bijectors/transformers",
        ),
    ),
    Fault(
        "scalar_slopes_repeated",
        "under XLA alone: a slope for all knots by `tf.repeat`, which loops cannot differentiate",
        "tfp_flows/bijectors/transformers/rational_quadratic_spline.py",
        "slopes = slopes * tf.ones([interior], slopes.dtype)",
        "slopes = tf.repeat(slopes, interior, axis=-1)",
        (
            "tests/bijectors/transformers/test_rational_quadratic_spline.py",
            contract("xla and rational_quadratic_spline"),
        ),
    ),
    Fault(
        "monotone_validate_args",
        "`validate_args` of a searched inverse is ignored",
        "tfp_flows/bijectors/transformers/_monotone.py",
        "if self.validate_args:",
        "if self.validate_args and self.dtype is None:",
        (
            "tests/bijectors/transformers/test_deep_sigmoid.py "
            "tests/bijectors/transformers/test_monotone_activations.py",
            "tests/bijectors/transformers/test_logistic_mixture_cdf.py "
            "tests/bijectors/transformers/test_sum_of_squares.py "
            "tests/bijectors/transformers/test_monotone_integral.py "
            "tests/bijectors/transformers/test_dense_deep_sigmoid.py",
            "tests/bijectors/test_extremes_hypothesis.py",
        ),
    ),
    Fault(
        "integral_tail_gradient",
        "parameters get no gradient through the slope of the tails",
        "tfp_flows/bijectors/transformers/monotone_integral.py",
        "tf.exp(log_slope) * (x - near)",
        "tf.stop_gradient(tf.exp(log_slope)) * (x - near)",
        (
            "tests/bijectors/transformers/test_monotone_integral.py",
            contract("gradients and (integral or umnn)"),
        ),
    ),
    # Conditioned bijectors.
    Fault(
        "coupling_raw_parameters_not_masked",
        "where a checkerboard transforms nothing, raw parameters may be anything",
        "tfp_flows/bijectors/conditioned/coupling.py",
        "h = parts.of_b(self._raw(y_a, b.shape[-1]), trailing_axes=1)",
        "h = self._raw(y_a, b.shape[-1])",
        (
            "tests/bijectors/conditioned/test_coupling_mask.py",
            image_contract("checkerboard"),
        ),
    ),
    Fault(
        "coupling_order_not_inverted",
        "the halves of a coupling are joined by the permutation that has split them",
        "tfp_flows/bijectors/conditioned/_coupling_mask.py",
        "x if self._is_first else permute(x, self._back)",
        "x if self._is_first else permute(x, self._order)",
        (
            "tests/bijectors/conditioned/test_coupling.py",
            contract("coupling"),
            "tests/bijectors/conditioned/test_coupling_mask.py",
        ),
    ),
    Fault(
        "checkerboards_alike",
        "the odd checkerboard is the even one",
        "tfp_flows/bijectors/conditioned/_coupling_mask.py",
        "return ~_checkerboard(shape, seed)",
        "return _checkerboard(shape, seed)",
        (
            "tests/bijectors/conditioned/test_coupling_mask.py",
            "tests/flows/test_image_recipes.py",
        ),
    ),
    Fault(
        "moved_weights_not_restored",
        "`validate_args` leaves the weights of a network moved",
        "tfp_flows/bijectors/_moved_weights.py",
        "variable.assign(value)",
        "tf.identity(value)",
        (
            "tests/bijectors/conditioned/test_coupling.py",
            "tests/bijectors/conditioned/test_autoregressive.py",
        ),
    ),
    Fault(
        "amortized_clip_removed",
        "a context far out reaches the network as it is",
        "tfp_flows/bijectors/conditioned/amortized.py",
        "context = clip_network_input(self._context, self._conditioner)",
        "context = self._context",
        (
            "tests/bijectors/conditioned/test_amortized.py",
            "tests/flows/test_far_inputs.py",
        ),
    ),
    Fault(
        "batch_shape_of_contexts",
        "a bound context gives a bijector of larger events the wrong batch shape",
        "tfp_flows/bijectors/_takes_context.py",
        "return ndims + x_event_ndims - part.forward_min_event_ndims",
        "return ndims",
        (
            "tests/test_conditioning.py",
            contract("batch_shape"),
            image_contract("batch_shape"),
            "tests/bijectors/shape/test_multi_scale.py",
        ),
    ),
    Fault(
        "block_reverse_ignored",
        "`reverse` of a block-autoregressive layer is ignored",
        "tfp_flows/bijectors/conditioned/block_autoregressive.py",
        "return tf.reverse(x, axis=[-1]) if self._reverse else x",
        "return x",
        (
            "tests/bijectors/conditioned/test_block_autoregressive.py",
            contract("bnaf or block"),
            "tests/flows/test_ignored_arguments.py",
            "tests/flows/test_recipes.py -k bnaf",
        ),
    ),
    Fault(
        "masked_convolution_channels",
        "the reversed order of a masked convolution keeps the order of channels",
        "tfp_flows/bijectors/conditioned/masked_convolution.py",
        "tf.reverse(x, axis=[-3, -2, -1])",
        "tf.reverse(x, axis=[-3, -2])",
        (
            "tests/bijectors/conditioned/test_masked_convolution.py",
            image_contract("masked_convolution"),
            "tests/flows/test_image_recipes.py -k mintnet",
        ),
    ),
    # Linear bijectors.
    Fault(
        "lu_clip_removed",
        "the diagonal of L U may overflow or vanish",
        "tfp_flows/bijectors/linear/lu_linear.py",
        "d = tf.clip_by_value(tf.linalg.diag_part(packed), -bound, bound)",
        "d = tf.linalg.diag_part(packed)",
        (
            "tests/bijectors/linear/test_lu_linear.py",
            contract("lu_linear"),
        ),
    ),
    Fault(
        "conv1x1_pixels_not_summed",
        "the log-det of a convolution is the mean over pixels, not the sum",
        "tfp_flows/bijectors/linear/invertible_conv1x1.py",
        "x, log_det = self._linear._inverse_and_log_det(y)\n"
        "        return x, tf.reduce_sum(log_det, axis=self._pixels)",
        "x, log_det = self._linear._inverse_and_log_det(y)\n"
        "        return x, tf.reduce_mean(log_det, axis=self._pixels)",
        (
            "tests/bijectors/linear/test_invertible_conv1x1.py",
            contract("conv1x1"),
            image_contract("log_det and (glow or conv1x1)"),
        ),
    ),
    # Normalization.
    Fault(
        "running_variance_not_updated",
        "the running variance stays where it was",
        "tfp_flows/bijectors/normalization/_running_moments.py",
        "((self.mean, mean), (self.variance, variance)):",
        "((self.mean, mean), (self.mean, mean)):",
        ("tests/bijectors/normalization/test_batch_norm.py",),
    ),
    Fault(
        "act_norm_adapts_again",
        "an ActNorm that has adapted does not say so, and adapts again",
        "tfp_flows/bijectors/normalization/act_norm.py",
        "self._initialized.assign(True)",
        "self._initialized.assign(False)",
        (
            "tests/models/test_adapting.py",
            "tests/bijectors/normalization/test_act_norm.py",
        ),
    ),
    Fault(
        "standardize_sums_in_float32",
        "means and deviations are summed in the dtype of the data",
        "tfp_flows/bijectors/normalization/_data_dependent.py",
        "mean = data.mean(axis=0, dtype=np.float64)",
        "mean = data.mean(axis=0).astype(np.float64)",
        (
            "tests/bijectors/normalization/test_standardize.py",
            "tests/bijectors/normalization/test_act_norm.py",
            "tests/models/test_adapting.py",
        ),
    ),
    # Residual flows.
    Fault(
        "residual_noise_not_renewed",
        "each step of training has the same Hutchinson noise",
        "tfp_flows/bijectors/residual/_residual_log_det.py",
        "seed = next_replica_seed(self.seed_generator)",
        "seed = tf.constant([self.seed or 0, 0])",
        (
            "tests/bijectors/residual/test_residual.py",
            "tests/models/test_strategy.py",
        ),
    ),
    Fault(
        "raw_clip_removed",
        "raw parameters of planar, radial and Sylvester layers may be of any size",
        "tfp_flows/bijectors/residual/_clip_raw_parameters.py",
        "tf.clip_by_value(tf.convert_to_tensor(params), -LARGEST, LARGEST)",
        "tf.convert_to_tensor(params)",
        (
            "tests/bijectors/residual/test_planar.py",
            "tests/bijectors/residual/test_radial.py",
            "tests/bijectors/residual/test_sylvester.py",
        ),
    ),
    Fault(
        "sylvester_input_not_bounded",
        "an x far out overflows in the rotation of a Sylvester layer",
        "tfp_flows/bijectors/residual/sylvester.py",
        "s = solve_triangular_tanh(_row_times(_seen(y), frame), r, t, b, p)",
        "s = solve_triangular_tanh(_row_times(y, frame), r, t, b, p)",
        (
            "tests/bijectors/residual/test_sylvester.py",
            contract("extreme and sylvester"),
        ),
    ),
    # Continuous flows.
    Fault(
        "regularizer_sign",
        "the regulariser of a flow against the time is negative",
        "tfp_flows/bijectors/continuous/continuous.py",
        "sign = 1.0 if stop > start else -1.0",
        "sign = 1.0",
        (
            "tests/bijectors/continuous/test_continuous.py -k regularizer",
            "tests/bijectors/continuous/test_continuous.py",
        ),
    ),
    Fault(
        "graph_of_a_function_kept",
        "the traced loop of a plain function is kept, whatever it closes over",
        "tfp_flows/bijectors/continuous/continuous.py",
        "is_kept = tf.executing_eagerly() and isinstance(self._field, keras.Layer)",
        "is_kept = tf.executing_eagerly()",
        ("tests/bijectors/continuous/test_continuous.py",),
    ),
    # Shapes.
    Fault(
        "squeeze_order",
        "rows and columns of a block are swapped among the channels",
        "tfp_flows/bijectors/shape/squeeze.py",
        "[*range(0, len(pairs), 2), *range(1, len(pairs), 2)]",
        "[*range(0, len(pairs), 2), *reversed(range(1, len(pairs), 2))]",
        (
            "tests/bijectors/shape/test_squeeze.py",
            image_contract("squeeze"),
        ),
    ),
    Fault(
        "multi_scale_odd_channel",
        "an odd channel leaves instead of staying",
        "tfp_flows/bijectors/shape/multi_scale.py",
        "num_leaving = shape[-1] // 2 if",
        "num_leaving = shape[-1] - shape[-1] // 2 if",
        (
            "tests/bijectors/shape/test_multi_scale.py",
            image_contract("multiscale"),
        ),
    ),
    # What all bijectors share.
    Fault(
        "pass_cache_not_cleared",
        "a log-det is remembered for longer than the value that it belongs to",
        "tfp_flows/bijectors/_pass_cache.py",
        "            entry.attributes.clear()\n        return",
        "            pass\n        return",
        ("tests/bijectors/test_pass_cache.py",),
    ),
    Fault(
        "pass_cache_graph_not_in_key",
        "what one graph remembers is found from another",
        "tfp_flows/bijectors/_pass_cache.py",
        "graph = None if tf.executing_eagerly() else id(tf.compat.v1.get_default_graph())",
        "graph = None",
        (
            'tests/bijectors/test_pass_cache.py -k "functions or loops or branch"',
            "tests/bijectors/test_pass_cache.py",
        ),
    ),
    Fault(
        "validate_args_of_parts",
        "`validate_args` of a part within a bijector is passed over",
        "tfp_flows/bijectors/flow_bijector.py",
        "if isinstance(bijector, FlowBijector) and not bijector.validate_args:",
        "if isinstance(bijector, FlowBijector):",
        (
            "tests/bijectors/test_flow_bijector.py",
            "tests/bijectors/conditioned/test_coupling.py",
            "tests/bijectors/conditioned/test_autoregressive.py",
            "tests/bijectors/shape/test_multi_scale.py",
            "tests/test_tfp_interplay.py",
        ),
    ),
    Fault(
        "scalar_log_det_not_broadcast",
        "a constant log-det counts once, not for each coordinate",
        "tfp_flows/bijectors/_events.py",
        "return tf.broadcast_to(log_det, ps.shape(y)[: ps.rank(y) - event_ndims])",
        "return log_det",
        (
            "tests/bijectors/test_flow_bijector.py",
            "tests/bijectors/conditioned/test_coupling.py",
            contract("coupling"),
        ),
    ),
    Fault(
        "frozen_variables_not_seen",
        "TFP sees the trainable variables of networks only",
        "tfp_flows/bijectors/_networks.py",
        "for variable in layer.variables]",
        "for variable in layer.trainable_variables]",
        (
            "tests/bijectors/normalization/test_batch_norm.py",
            "tests/bijectors/test_networks.py",
            "tests/models/test_distribution_model.py",
            "tests/test_tfp_interplay.py -k checkpoint",
        ),
    ),
    Fault(
        "training_mode_not_restored",
        "what runs behind an ODE or a sequential pass is no longer in training mode",
        "tfp_flows/bijectors/_inference_mode.py",
        "_MODE(nothing, training=True)",
        "_MODE(nothing)",
        (
            "tests/bijectors/continuous/test_continuous.py -k training",
            "tests/bijectors/conditioned/test_autoregressive.py",
        ),
    ),
    # Layers.
    Fault(
        "made_mask_shifted",
        "an output of MADE does not see the coordinate just before it",
        "tfp_flows/layers/made.py",
        "wanted = positions - 1",
        "wanted = positions - 2",
        (
            "tests/layers/test_made.py",
            contract("autoregressive"),
        ),
    ),
    Fault(
        "masked_dense_product",
        "masked weights are zero by a product: an infinite one gives NaN",
        "tfp_flows/layers/_masked_dense.py",
        "return tf.where(self._mask, kernel, tf.zeros([], kernel.dtype))",
        "return kernel * tf.cast(self._mask, kernel.dtype)",
        (
            "tests/layers/test_masked_dense.py",
            "tests/layers/test_made.py",
            "tests/flows/test_far_inputs.py",
            contract("extreme and autoregressive"),
        ),
    ),
    Fault(
        "dropout_in_inference",
        "dropout of a convolutional network is active outside of training",
        "tfp_flows/layers/conv_net.py",
        "f = self._dropout[k](f, training=training)",
        "f = self._dropout[k](f, training=True)",
        ("tests/layers/test_conv_net.py",),
    ),
    Fault(
        "gate_of_context_ignored",
        "blocks of a residual network are not gated by the context",
        "tfp_flows/layers/residual_mlp.py",
        "f = f * tf.sigmoid(self._gate[k](gate_input))",
        "f = f * tf.sigmoid(tf.zeros_like(f))",
        (
            "tests/layers/test_residual_mlp.py",
            contract("context and (neural_spline or flow_plus_plus)"),
        ),
    ),
    Fault(
        "incremental_clip_removed",
        "a sample far out reaches the network of MADE as it is, a density does not",
        "tfp_flows/layers/_incremental.py",
        "seen = tf.cast(clip_network_input(y_j, made), dtype)",
        "seen = tf.cast(y_j, dtype)",
        (
            "tests/flows/test_far_inputs.py",
            "tests/layers/test_incremental.py",
            contract("extreme and autoregressive"),
        ),
    ),
    Fault(
        "lipschitz_norms_swapped",
        "the norms 1 and infinity sum over each other's axis",
        "tfp_flows/layers/_lipschitz_kernel.py",
        "axes = (*places, -1) if norm == 1 else (*places, -2)",
        "axes = (*places, -2) if norm == 1 else (*places, -1)",
        (
            "tests/layers/test_lipschitz_kernel.py",
            "tests/layers/test_lipschitz_mlp.py",
            "tests/layers/test_lipschitz_conv_net.py",
        ),
    ),
    Fault(
        "attention_not_scaled",
        "the scores of attention are not divided by the root of their size",
        "tfp_flows/layers/gated_conv_net.py",
        "tf.matmul(queries / size**0.5, keys, transpose_b=True)",
        "tf.matmul(queries, keys, transpose_b=True)",
        ("tests/layers/test_conv_net.py",),
    ),
    Fault(
        "seeds_of_kernels_shared",
        "kernels of one shape start with the same numbers",
        "tfp_flows/layers/mlp.py",
        "seed = derived_seed(given if self.seed is None else self.seed, name)",
        "seed = given if self.seed is None else self.seed",
        (
            'tests/layers/test_mlp.py -k "seed or initializer"',
            "tests/layers/test_mlp.py",
            "tests/layers/test_made.py",
        ),
    ),
    # Distributions.
    Fault(
        "dequantized_range",
        "the sigmoid of images ends one value too low",
        "tfp_flows/distributions/dequantized.py",
        "tf.constant(num_values + beyond, dtype))",
        "tf.constant(num_values - 1 + beyond, dtype))",
        ("tests/distributions/test_dequantized.py",),
    ),
    Fault(
        "dequantized_samples_rounded",
        "samples are rounded where they should be cut off",
        "tfp_flows/distributions/dequantized.py",
        "tf.clip_by_value(tf.floor(v), 0.0,",
        "tf.clip_by_value(tf.round(v), 0.0,",
        (
            "tests/distributions/test_dequantized.py",
            "tests/flows/test_image_recipes.py",
        ),
    ),
    Fault(
        "latent_set_seed_reused",
        "latents and points of a set are drawn by one seed",
        "tfp_flows/distributions/latent_set.py",
        "w = self._prior.sample(n, seed=latent_seed)",
        "w = self._prior.sample(n, seed=points_seed)",
        (
            "tests/distributions/test_latent_set.py",
            "tests/flows/test_pointflow.py",
        ),
    ),
    Fault(
        "conditional_normal_not_bounded",
        "the scale of a conditional normal has no bound",
        "tfp_flows/distributions/conditional_normal.py",
        "affine = Affine.new(tf.reshape(h, shape), max_log_scale=self._max_log_scale)",
        "affine = Affine.new(tf.reshape(h, shape))",
        ("tests/distributions/test_conditional_normal.py",),
    ),
    # Recipes.
    Fault(
        "recipe_order_not_reversed",
        "all layers of a masked autoregressive recipe have one order",
        "tfp_flows/flows/_autoregressive_recipe.py",
        'order="reverse" if i % 2 else None',
        "order=None",
        (
            "tests/flows/test_recipes.py -k alternate",
            "tests/flows/test_recipes.py tests/flows/test_ignored_arguments.py",
            contract("maf or iaf"),
            "tests/flows/test_fitting.py",
            "tests/flows/test_vector_flows.py",
        ),
    ),
    Fault(
        "recipe_permutation_not_inverted",
        "the last permutation of a recipe does not put coordinates back",
        "tfp_flows/flows/_linear_layers.py",
        "return [*drawn, np.argsort(composed)]",
        "return [*drawn, composed]",
        (
            "tests/flows/test_recipes.py -k undone",
            "tests/flows/test_recipes.py",
            contract("neural_spline or flow_plus_plus"),
        ),
    ),
    Fault(
        "recipe_seeds_shared",
        "all layers of a recipe have one seed",
        "tfp_flows/flows/_recipe.py",
        "return [int(state) for state in np.random.SeedSequence(seed).generate_state(count) >> 1]",
        "return [int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)] * count",
        (
            "tests/flows/test_recipes.py",
            'tests/flows/test_image_recipes.py -k "seed or start"',
            "tests/flows/test_audio_recipes.py -k seed",
        ),
    ),
    # Models.
    Fault(
        "sample_weights_ignored",
        "the loss of training counts every row as one",
        "tfp_flows/models/_likelihood_steps.py",
        "loss = weighted_mean(-y_pred, sample_weight)",
        "loss = weighted_mean(-y_pred, None)",
        (
            'tests/models/test_flow_model.py -k "weigh"',
            "tests/models/test_flow_model.py",
            "tests/models/test_flow_model_data.py",
        ),
    ),
    Fault(
        "weight_zero_times_infinity",
        "an infinite row of weight zero makes the loss NaN",
        "tfp_flows/models/_score.py",
        "tf.reduce_sum(tf.math.multiply_no_nan(values, weight))",
        "tf.reduce_sum(values * weight)",
        (
            'tests/models/test_flow_model.py -k "weigh"',
            "tests/models/test_flow_model.py",
            "tests/models/test_flow_model_data.py",
            "tests/models/test_adapting.py",
        ),
    ),
    Fault(
        "padding_counted",
        "rows that fill up the last batch count",
        "tfp_flows/models/_batches.py",
        "kept = tf.where(index >= 0, tf.gather(weight, row), tf.zeros([], weight.dtype))",
        "kept = tf.gather(weight, row)",
        (
            'tests/models/test_flow_model_data.py -k "once or validation"',
            "tests/models/test_flow_model.py -k evaluate",
            "tests/models/test_flow_model_data.py",
        ),
    ),
    Fault(
        "order_of_rows_kept",
        "every epoch has the order of the first",
        "tfp_flows/models/_batches.py",
        "rerandomize_each_iteration=True",
        "rerandomize_each_iteration=False",
        (
            "tests/models/test_flow_model.py -k shuffle",
            "tests/models/test_flow_model.py",
        ),
    ),
    Fault(
        "losses_of_layers_pile_up",
        "what layers have added to the loss of the step before is not cleared",
        "tfp_flows/models/_compiled_steps.py",
        "        self._clear_losses()\n",
        "",
        (
            'tests/models/test_variational_model.py -k "add_to_the_loss or regulariser"',
            "tests/bijectors/continuous/test_continuous.py -k regularizer",
            "tests/models/test_variational_model.py",
        ),
    ),
    Fault(
        "evaluation_by_seeds_of_training",
        "evaluation draws what training has drawn",
        "tfp_flows/models/variational_model.py",
        "tf.stack([-1 - self.seed, tf.cast(data[0], tf.int32)])",
        "tf.stack([self.seed, tf.cast(data[0], tf.int32)])",
        (
            "tests/models/test_variational_model.py -k other_samples",
            "tests/models/test_variational_model.py",
        ),
    ),
    Fault(
        "flow_matching_draws_once",
        "each step of flow matching has the same noise and times",
        "tfp_flows/models/flow_matching.py",
        "self.seed.assign_add([0, 1])",
        "self.seed.assign_add([0, 0])",
        ("tests/models/test_flow_matching.py",),
    ),
    Fault(
        "first_batch_lost",
        "a generator that has given its first batch to ActNorm does not train on it",
        "tfp_flows/models/_adapting.py",
        "    yield from first\n",
        "",
        (
            "tests/models/test_adapting.py",
            "tests/models/test_flow_model_data.py",
        ),
    ),
    Fault(
        "weights_not_checked",
        "weights that are not finite at the end of an epoch go unnoticed",
        "tfp_flows/models/_watch.py",
        "if not tf.reduce_all(tf.math.is_finite(weight.value)):",
        "if not tf.reduce_any(tf.math.is_finite(weight.value)):",
        (
            'tests/models/test_distribution_model.py tests/models/test_flow_model.py -k "finite"',
            "tests/models/test_flow_model_data.py -k nan",
            "tests/models/test_variational_model.py -k finite",
            "tests/models/test_distribution_model.py tests/models/test_flow_model.py",
        ),
    ),
    Fault(
        "statistics_not_put_back",
        "running statistics move in a step that is not finite",
        "tfp_flows/models/_whole_step.py",
        "variable.assign(tf.where(is_whole, variable, kept))",
        "variable.assign(variable)",
        ("tests/models/test_whole_step.py",),
    ),
    Fault(
        "steps_after_a_failure",
        "steps in the same call as one that has failed change weights",
        "tfp_flows/models/_whole_step.py",
        "has_weight & ~has_failed",
        "has_weight",
        ("tests/models/test_whole_step.py -k several",),
    ),
    Fault(
        "adam_without_its_power",
        "Adam's rate of the second moment is not corrected for its start",
        "tfp_flows/models/_fused_adam.py",
        '"beta2_power": b2**step,',
        '"beta2_power": 0.0 * b2**step,',
        ("tests/models/test_fused_adam.py",),
    ),
    Fault(
        "raw_scale_ignored",
        "raw numbers reach the transformer as they are",
        "tfp_flows/bijectors/conditioned/_conditioner_bijector.py",
        "h = self._raw_scale * h",
        "h = 1.0 * h",
        ("tests/bijectors/conditioned/test_coupling.py -k raw", "tests/flows/test_first_steps.py"),
    ),
    # Saving.
    Fault(
        "frozen_layers_lost",
        "a saved model does not know which layers are frozen",
        "tfp_flows/models/_adopts.py",
        '"frozen_layers": _frozen(self._flatten_layers()),',
        '"frozen_layers": [],',
        (
            "tests/saving/test_kept.py -k frozen",
            "tests/saving",
        ),
    ),
    Fault(
        "frozen_variables_lost",
        "variables of a saved flow are all trainable",
        "tfp_flows/saving/_encode.py",
        '"trainable": value.trainable,',
        '"trainable": True,',
        (
            'tests/saving/test_kept.py -k "frozen or standardization"',
            "tests/saving",
        ),
    ),
    Fault(
        "variables_reset_on_load",
        "variables of a flow start from zero when it is made again",
        "tfp_flows/saving/_decode.py",
        'value = decode_array(spec["value"])',
        'value = tf.zeros_like(decode_array(spec["value"]))',
        (
            "tests/saving/test_kept.py -k clone",
            "tests/saving",
        ),
    ),
    Fault(
        "lambdas_loaded",
        "code in a file is loaded where a flow holds a layer",
        "tfp_flows/saving/_decode.py",
        "keras.saving.deserialize_keras_object(config, safe_mode=True)",
        "keras.saving.deserialize_keras_object(config, safe_mode=False)",
        (
            "tests/saving -k lambda",
            "tests/saving",
        ),
    ),
    # Trees, contexts, checks.
    Fault(
        "context_by_way_of_float32",
        "a context in float64 is rounded to float32 on its way",
        "tfp_flows/conditioning.py",
        "context = tf.cast(tf.convert_to_tensor(context), dtype)",
        "context = tf.cast(tf.cast(context, tf.float32), dtype)",
        (
            'tests/test_conditioning.py -k "digits or dtype"',
            "tests/test_conditioning.py",
        ),
    ),
    Fault(
        "deep_copy_shares_variables",
        "a deep copy is trained together with its original",
        "tfp_flows/_tree.py",
        "copy.deepcopy(value, memo))",
        "value if isinstance(value, tf.Variable) else copy.deepcopy(value, memo))",
        (
            "tests/test_deep_copy.py",
            "tests/bijectors/test_networks.py",
        ),
    ),
    Fault(
        "deep_copy_forgets_constructed",
        "what a constructor makes has its start in a deep copy, not its value",
        "tfp_flows/_tree.py",
        "variable.assign(value)",
        "variable.assign(variable)",
        (
            "tests/test_deep_copy.py",
            "tests/bijectors/test_networks.py",
        ),
    ),
    Fault(
        "twice_rebuilt",
        "what occurs twice in a flow is made anew for each place",
        "tfp_flows/_tree.py",
        "if id(value) not in done:",
        "if id(value) not in done or changes(value):",
        (
            "tests/test_conditioning.py -k shared",
            "tests/test_deep_copy.py",
            "tests/test_conditioning.py",
        ),
    ),
    Fault(
        "rate_of_one",
        "a dropout rate of one is accepted",
        "tfp_flows/_checks.py",
        "lambda x: 0 <= x < 1)",
        "lambda x: 0 <= x <= 1)",
        (
            "tests/layers/test_mlp.py -k errors",
            "tests/layers/test_made.py -k errors",
            "tests/layers/test_conv_net.py -k arguments",
        ),
    ),
]
