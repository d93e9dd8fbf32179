"""The networks: their sizes, what they do with structures of any number, and deformations that can be undone."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

import numpy as np  # noqa: E402
from RRLMedSAMEngine import filters, inference  # noqa: E402
from RRLMedSAMEngine import prior as prior_module  # noqa: E402
from RRLMedSAMEngine.networks.blocks import Kernel3, depth_to_space, space_to_depth  # noqa: E402
from RRLMedSAMEngine.networks.candidates import NEVER, Candidates  # noqa: E402
from RRLMedSAMEngine.networks.encoder import Encoder, parameter_count  # noqa: E402
from RRLMedSAMEngine.networks.model import Model, standardised  # noqa: E402
from RRLMedSAMEngine.networks.sizes import ENCODER_SHARE, SAM_BASE_ENCODER, Sizes  # noqa: E402
from RRLMedSAMEngine.networks.tokens import masked_means  # noqa: E402
from RRLMedSAMEngine.networks.velocity import integrate, to_full_grid  # noqa: E402
from RRLMedSAMEngine.prior import make_prior  # noqa: E402
from RRLMedSAMEngine.registration import compose  # noqa: E402
from RRLMedSAMEngine.sampling import lattice  # noqa: E402

pytestmark = pytest.mark.needs_torch

SMALL = Sizes(channels=(8, 12, 16, 16), token=16, embedding=8, heads=2, teacher=8)


def cubes(count, side=8):
    """Labels 0 .. count - 1 in cubes, one after the other along each axis: (32, 32, 32)."""
    k, j, i = np.indices((32, 32, 32)) // side
    return torch.from_numpy((16 * k + 4 * j + i) % count)


def test_the_encoder_has_three_percent_of_sam_bases():
    assert parameter_count(Encoder(Sizes())) <= ENCODER_SHARE * SAM_BASE_ENCODER


def test_depth_to_space_undoes_space_to_depth():
    x = torch.randn(2, 3, 4, 6, 8)
    assert torch.equal(depth_to_space(space_to_depth(x)), x)


def test_features_halve_the_grid_at_each_level():
    features = Encoder(SMALL)(torch.randn(1, 1, 32, 48, 64))
    assert [f.shape[2:] for f in features] == [(16, 24, 32), (8, 12, 16), (4, 6, 8), (2, 3, 4)]


def test_tokens_are_means_under_the_mask():
    labels = torch.zeros(8, 8, 8, dtype=torch.int64)
    labels[:, :, 4:] = 1
    feature = torch.zeros(1, 2, 4, 4, 4)
    feature[0, 0, :, :, 2:] = 5.0
    means = masked_means([feature], labels, 3)
    assert means.tolist() == [[0, 0], [5, 0], [0, 0]]


def test_mixed_precision_costs_the_means_nothing():
    """As autocast hands the features on; a sum of thousands of them in half precision stops growing."""
    labels, feature = torch.zeros(48, 48, 48, dtype=torch.int64), torch.full((1, 2, 24, 24, 24), 1.5)
    assert torch.equal(masked_means([feature.bfloat16()], labels, 1), torch.full((1, 2), 1.5))
    mask = Candidates(labels[:1, :1, :2], torch.tensor([1]), torch.tensor([[0], [1]]), torch.tensor([[0.0], [0.0]]))
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.bfloat16)
    assert mask.described(vectors)[:, 0, 0, 1].tolist() == [0.5, 0.5]
    assert mask.judged(torch.ones(2, 1, 1, 2, dtype=torch.bfloat16), vectors).logits.tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("count", [2, 40])
def test_the_same_weights_serve_any_number_of_structures(count):
    torch.manual_seed(0)
    model, image, labels = Model(SMALL), torch.randn(1, 1, 32, 32, 32), cubes(count)
    masks = model(image, model.describe(image, labels, count), make_prior(labels))
    assert masks.refined.winner().shape == labels.shape
    assert int(masks.refined.winner().max()) < count


def test_an_untrained_model_leaves_the_registrations_mask_as_it_is():
    torch.manual_seed(0)
    model, image, labels = Model(SMALL), torch.randn(1, 1, 32, 32, 32), cubes(5)
    prior = make_prior(labels)
    masks = model(image, model.describe(image, labels, 5), prior)
    for mask in (masks.coarse, masks.refined):
        assert torch.allclose(mask.logits, prior.logits, atol=1e-5)


def test_the_coarse_mask_knows_nothing_of_half_the_resolution():
    """Four voxels a side have one look at the image, brought to whatever even grid there is."""
    torch.manual_seed(0)
    model, count = Model(SMALL), 4
    labels = cubes(count)[:30, :26, :]  # neither is a multiple of four
    prior, features = make_prior(labels), model.general(torch.randn(1, 1, *labels.shape))
    torch.nn.init.normal_(model.coarse.weights[-1].weight)
    tokens = torch.randn(count, SMALL.token)
    before = model.coarse(features, tokens, prior).logits
    assert torch.equal(model.coarse([features[0] + 1, *features[1:]], tokens, prior).logits, before)
    assert not torch.allclose(model.coarse([features[0], features[1] + 1, *features[2:]], tokens, prior).logits, before)


def test_without_the_prompt_the_mask_does_not_reach_the_features():
    """Two coarse masks, one decoder: only a prompted one tells them apart."""
    changes = {}
    for prompted in (True, False):
        torch.manual_seed(0)
        model = Model(Sizes(**{**SMALL.__dict__, "prompted": prompted}))
        torch.nn.init.normal_(model.refined.weights[-1].weight)
        image, labels = torch.randn(1, 1, 32, 32, 32), cubes(4)
        prior = make_prior(labels)
        other = prior.with_logits(torch.where(prior.logits > NEVER, -7 - prior.logits, NEVER))
        features = model.medical(image)
        tokens = torch.randn(4, 16)
        one, two = (model.refined(features, tokens, image, prior, p).logits for p in (prior, other))
        changes[prompted] = float((one - two).detach().abs().max())
    assert changes[True] > 1e-3
    assert changes[False] < 1e-5


def test_the_refined_mask_prompts_once_more():
    torch.manual_seed(0)
    model, labels, image = Model(SMALL), cubes(4), torch.randn(1, 1, 32, 32, 32)
    for decoder in (model.coarse, model.refined):
        torch.nn.init.normal_(decoder.weights[-1].weight)
    prior, described = make_prior(labels), model.describe(image, labels, 4)
    features = model.features(image)
    once, twice = (model.masks(features, image, described, prior, prompts) for prompts in (1, 2))
    seen = masked_means(features[1], once.refined.winner(), 4)
    again = model.refined(features[1], model.medical_tokens(described[1], seen), image, prior, once.refined)
    assert not torch.allclose(once.refined.logits, twice.refined.logits, atol=1e-3)
    assert torch.allclose(again.logits, twice.refined.logits, atol=1e-4)
    assert torch.allclose(model(image, described, prior).refined.logits, twice.refined.logits, atol=1e-4)
    assert torch.equal(once.coarse.logits, twice.coarse.logits)


def test_each_voxels_vote_is_shared_among_its_candidates_alone():
    prior = make_prior(cubes(6))
    assert torch.allclose(prior.probability.sum(dim=0), torch.ones(len(prior.where)))
    assert float(prior.probability[prior.logits == NEVER].max()) < 1e-6
    inside = (slice(3, 5),) * 3  # of the first cube
    assert int(prior.winner()[inside].max()) == 0


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "several at once"])
def test_the_candidates_are_the_largest_smoothed_shares(monkeypatch, together):
    """Against all one-hot maps held and sorted. As a graphics card does it, too, where there is none."""
    if together:
        everywhere = (slice(None),) * 3
        monkeypatch.setattr(prior_module, "_parts", lambda x, _: ((v, everywhere) for v in x.unique().split(3)))
    torch.manual_seed(0)
    labels = torch.nn.functional.interpolate(torch.randn(1, 9, 4, 4, 4), (20, 22, 24), mode="trilinear").argmax(1)[0]
    labels[labels == 4] = 200
    values = labels.unique()
    maps = (labels == values.view(-1, 1, 1, 1)).float()
    sizes = maps.sum(dim=(1, 2, 3), keepdim=True)
    assert 0 < int((sizes < prior_module.SMALL).sum()) < len(sizes)
    shares = sum(filters.gaussian(maps, sigma) for sigma in prior_module.SIGMAS) / 2
    least = torch.where(sizes < prior_module.SMALL, prior_module.RAREST_OF_SMALL, prior_module.RAREST)
    shares = shares * (shares > least)
    best, which = shares.flatten(1).topk(prior_module.COUNT, dim=0)
    doubtful = best[1] > 0
    best, which = best[:, doubtful], values[which[:, doubtful]]
    prior = make_prior(labels)
    assert torch.equal(prior.where, doubtful.nonzero()[:, 0])
    there = best > 0
    assert torch.equal(prior.logits > NEVER, there)
    assert torch.allclose(prior.logits[there], best[there].log(), atol=1e-5)
    clear = there & (best - best.roll(1, 0)).abs().gt(1e-5) & (best - best.roll(-1, 0)).abs().gt(1e-5)
    assert torch.equal(prior.structure[clear], which[clear])
    assert torch.equal(prior.certain.flatten(), values[shares.flatten(1).argmax(dim=0)])


def test_a_structure_far_smaller_than_another_is_a_candidate_two_voxels_away():
    """A ventricle that is a few voxels in the atlas, and wide in the target, could not be found otherwise."""
    labels = torch.zeros(17, 17, 17, dtype=torch.int64)
    labels[8, 8, 7:10] = 1
    prior = make_prior(labels)
    assert prior_module.SMALL > 3
    index = torch.full((labels.numel(),), -1)
    index[prior.where] = torch.arange(len(prior.where))
    beside = index[[(8 * 17 + y) * 17 + 8 for y in (9, 10)]]
    assert bool((beside >= 0).all())
    assert bool(((prior.structure[:, beside] == 1) & (prior.logits[:, beside] > NEVER)).any(dim=0).all())


def test_the_foremost_candidates_are_the_likeliest():
    where = torch.tensor([0, 1])
    structure = torch.tensor([[7, 1], [5, 2], [9, 3]])
    mask = Candidates(
        torch.zeros(1, 1, 2, dtype=torch.int64), where, structure, torch.tensor([[0.1, 2], [0.2, 3], [0, 9]])
    )
    fewer = mask.foremost(2)
    assert fewer.structure.tolist() == [[5, 3], [7, 2]]
    assert torch.equal(fewer.winner(), mask.winner())
    assert torch.allclose(fewer.probability.sum(dim=0), torch.ones(2))
    assert torch.allclose(mask.foremost(4).probability.sort(dim=0).values, mask.probability.sort(dim=0).values)


@pytest.mark.parametrize("common", [-100.0, 100.0])
def test_what_is_no_candidate_stays_none_whatever_the_fits_have_in_common(common):
    structure, logits = torch.tensor([[1], [2], [0]]), torch.tensor([[-1.0], [-2.0], [NEVER]])
    mask = Candidates(torch.zeros(1, 1, 1, dtype=torch.int64), torch.tensor([0]), structure, logits)
    judged = mask.judged(torch.full((1, 1, 1, 1), common), torch.tensor([[1.0], [1.0], [1.02]]))
    assert int(judged.winner()) == (2 if common > 0 else 1)
    assert float(judged.probability[2]) < 1e-6


def test_structures_are_described_by_their_probability():
    certain = torch.zeros(1, 1, 2, dtype=torch.int64)
    logits = torch.tensor([[0.25], [0.75]]).log()
    mask = Candidates(certain, torch.tensor([1]), torch.tensor([[0], [1]]), logits)
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert torch.allclose(mask.described(vectors)[:, 0, 0].t(), torch.tensor([[1.0, 0.0], [0.25, 0.75]]))


def test_the_negative_velocity_undoes_the_deformation():
    torch.manual_seed(0)
    rough = torch.randn(1, 3, 4, 4, 4)
    velocity = torch.nn.functional.interpolate(rough, size=(24, 24, 24), mode="trilinear", align_corners=True)[0]
    fade = torch.sin(torch.linspace(0, np.pi, 24))  # nothing flows out of the grid
    velocity = velocity * fade[:, None, None] * fade[:, None] * fade
    identity = lattice((24, 24, 24), np.eye(4))
    back = compose(integrate(velocity), integrate(-velocity), identity)
    assert float(integrate(velocity).norm(dim=0).max()) > 1.0
    assert float(back.norm(dim=0).mean()) < 0.02


def test_a_half_grids_displacement_counts_double_on_the_full_one():
    half = torch.ones(3, 4, 4, 4)
    assert to_full_grid(half).shape == (3, 8, 8, 8)
    assert torch.equal(to_full_grid(half), torch.full((3, 8, 8, 8), 2.0))


@pytest.mark.parametrize("shape", [(48, 64, 48), (176, 224, 160), (112, 112, 96)])
def test_windows_cover_the_frame(shape):
    covered = torch.zeros(shape, dtype=torch.int32)
    for window in inference.windows(shape):
        assert covered[window].shape == inference.window_for(shape)
        covered[window] += 1
    assert int(covered.min()) >= 1


def test_a_mask_votes_for_its_labels_between_its_voxels():
    labels = torch.zeros(8, 8, 8, dtype=torch.int64)
    labels[:, :, 4:] = 1
    prior = make_prior(labels)
    to_frame = np.eye(4)
    to_frame[0, 3] = 1.0  # the grid at which it is asked begins one voxel later
    votes = inference.Votes(prior, np.array([70]), to_frame)
    asked = torch.tensor([[6.0, 0.0, 2.5], [3.0, 3.0, 3.0], [3.0, 3.0, 3.0]])
    names, weights = votes.at(asked)
    assert torch.allclose(weights.sum(dim=0), torch.ones(3))
    assert torch.allclose((weights * (names == 70)).sum(dim=0), torch.tensor([1.0, 0.0, 0.5]), atol=0.05)


def test_a_mask_without_a_doubtful_voxel_votes_too():
    """A layer of the atlas may lie outside of what the target shows."""
    votes = inference.Votes(make_prior(torch.zeros(8, 8, 8, dtype=torch.int64)), np.array([70]), np.eye(4))
    names, weights = votes.at(torch.full((3, 2), 3.5))
    assert not bool(names.any()) and torch.allclose(weights.sum(dim=0), torch.ones(2))


@pytest.mark.parametrize("prompts", [1, 2])
def test_predictions_of_a_whole_frame_are_the_models_own(prompts):
    torch.manual_seed(0)
    model, labels, image = Model(SMALL), cubes(4), torch.rand(32, 32, 32)
    prior, described = make_prior(labels), inference.describe(model, image, labels, 4)
    predicted = inference.predict(model, image, described, prior, prompts, lambda: None)
    with torch.no_grad():
        masks = model(standardised(image)[None, None], described, prior, prompts)
    assert torch.allclose(predicted.refined.probability, masks.refined.probability, atol=1e-4)
    assert torch.allclose(predicted.coarse.probability, masks.coarse.probability, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (5, 4, 7), (32, 40, 6)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_the_same_on_grids_of_any_size(shape, stride):
    torch.manual_seed(0)
    layer, image = Kernel3(24, 16, stride), torch.randn(1, 24, *shape, requires_grad=True)
    plain = torch.nn.functional.conv3d(image, layer.weight, stride=stride, padding=1)
    found = layer(image)
    assert torch.allclose(found, plain, atol=1e-5)
    ours, theirs = (torch.autograd.grad(x.square().sum(), (image, layer.weight)) for x in (found, plain))
    assert all(torch.allclose(a, b, atol=1e-3, rtol=1e-4) for a, b in zip(ours, theirs))
